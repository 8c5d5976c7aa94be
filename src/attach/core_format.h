// An ELF core file (x86-64), as the kernel or gcore writes it, taken apart: nothing is believed
// that the bytes do not bear out. Pure; the bytes are hostile.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "memspy/address.h"
#include "memspy/memory_map.h"
#include "memspy/result.h"

namespace memspy::attach {

// A PT_LOAD: `bytes` are those that the file has of it, from `start` on; the rest up to `end` was
// left out, or cut off.
struct CoreSegment {
  RemoteAddr start;
  RemoteAddr end;
  std::span<const std::byte> bytes;
  bool readable = false, writable = false, executable = false;
};

// An entry of NT_FILE.
struct CoreFileRange {
  RemoteAddr start;
  RemoteAddr end;
  std::uint64_t offset = 0;  // bytes
  std::string path;
};

struct CoreLayout {
  std::vector<CoreSegment> segments;  // ascending, without overlaps
  std::vector<CoreFileRange> files;   // ascending, without overlaps
  Pid pid;                            // 0: the core does not say
  std::string name, command;          // 15 characters of its name, 79 of its command line
  std::uint32_t threads = 0;
  std::vector<std::pair<std::uint64_t, std::uint64_t>> auxv;
  std::uint64_t missing_bytes = 0;  // that the headers promise and a shortened file lacks
  std::vector<std::string> remarks;

  std::optional<std::uint64_t> find_auxv(std::uint64_t type) const;
};

// kUsage: not a core file; kUnsupported: of another machine; kCorrupt: nothing of its headers can
// be used. A file that was cut short is partial, with remarks.
Result<CoreLayout> parse_core(std::span<const std::byte> file);

// The mappings: segments, with the names and offsets of the files, and what files say of memory
// that is in no segment. [stack], [heap] and [vdso] are named by the auxiliary vector and their
// place.
MemoryMap map_of(const CoreLayout& core);

// The GNU build id in the first bytes of an ELF file (or of its first mapping); empty: none there.
std::span<const std::byte> find_build_id(std::span<const std::byte> elf);

}  // namespace memspy::attach
