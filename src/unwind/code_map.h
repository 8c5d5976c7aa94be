// What code a process has mapped, by address: which file, where in it, and how to unwind there.
// Files are opened the first time that a stack leads into them, and kept open: what a container
// takes away with it can still be unwound, and symbolized. One thread at a time.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <tuple>
#include <vector>

#include "base/clock.h"
#include "memspy/memory_map.h"
#include "memspy/memory_reader.h"
#include "procfs/proc_dir.h"
#include "symbolize/cfi_table.h"
#include "symbolize/elf_image.h"
#include "symbolize/file_key.h"

namespace memspy::unwind {

struct LinkRange {  // link addresses
  std::uint64_t begin = 0, end = 0;
  bool contains(std::uint64_t address) const { return address >= begin && address < end; }
};

// A file with code, whoever has mapped it.
struct CodeModule {
  std::string path;      // as the target's maps name it; "[vdso]"
  std::string build_id;  // "" without one
  int fd = -1;           // the open file, of `rows`; -1: there is none
  std::vector<symbolize::ElfSegment> segments;
  std::vector<LinkRange> loop;  // the interpreter's evaluation loop, where this file has one
  std::unique_ptr<symbolize::CfiTable> rows;  // null: the file could not be read

  bool in_loop(std::uint64_t address) const {
    for (const LinkRange& range : loop)
      if (range.contains(address)) return true;
    return false;
  }
};

// Modules of all processes of a run; they stay as long as it does.
class ModuleStore {
 public:
  // One that stands for `mapping`, which is a file's or the vdso's; never null.
  const CodeModule* open(const procfs::ProcDir& proc, Pid pid, const Mapping& mapping,
                         const MemoryReader& memory);
  const std::vector<std::unique_ptr<CodeModule>>& modules() const { return modules_; }

 private:
  const CodeModule* add(std::unique_ptr<CodeModule> module);
  const CodeModule* open_file(const procfs::ProcDir& proc, Pid pid, const Mapping& mapping,
                              const MemoryReader& memory);
  const CodeModule* open_vdso(const Mapping& mapping, const MemoryReader& memory);

  std::vector<std::unique_ptr<CodeModule>> modules_;
  std::map<symbolize::FileKey, const CodeModule*> files_;
  std::map<std::string, const CodeModule*> unreadable_;
  const CodeModule* vdso_ = nullptr;
};

struct CodePlace {
  bool code = false;                   // in an executable mapping
  const CodeModule* module = nullptr;  // null: code of no file, as a JIT makes it
  std::uint64_t address = 0;           // in the module: a link address
};

class CodeMap {
 public:
  // All must outlive it.
  CodeMap(const procfs::ProcDir& proc, Pid pid, const MemoryReader& memory, ModuleStore& store)
      : proc_(proc), pid_(pid), memory_(memory), store_(store) {}

  // The mappings are read again, now and then, when an address is in none of those that are known.
  CodePlace find(std::uint64_t address);
  // Does an instruction that calls end right before `address`?
  bool follows_call(std::uint64_t address);

 private:
  struct Piece {
    Mapping mapping;
    const CodeModule* module = nullptr;
    std::uint64_t bias = 0;
    bool opened = false;
  };
  Piece* find_piece(std::uint64_t address);
  void refresh();
  void open(Piece& piece);

  const procfs::ProcDir& proc_;
  Pid pid_;
  const MemoryReader& memory_;
  ModuleStore& store_;
  std::vector<Piece> pieces_;  // executable, by address
  SteadyTime next_refresh_{};
};

}  // namespace memspy::unwind
