// One ELF file mapped into a live process, opened on the first question about what is in it.
// One thread at a time.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "memspy/memory_map.h"
#include "memspy/memory_reader.h"
#include "memspy/symbol_source.h"
#include "procfs/proc_dir.h"
#include "symbolize/elf_image.h"
#include "symbolize/elf_memo.h"

namespace memspy::symbolize {

// What all modules of one process share.
struct ModuleContext {
  procfs::ProcDir proc;
  Pid pid;
  const MemoryReader& memory;
  std::vector<std::pair<RemoteAddr, RemoteAddr>> mapped;  // start and end of all mappings, in order
  ElfMemo* memo = nullptr;  // of files that other processes map too; null: none is kept
};

class Module final : public ModuleImage {
 public:
  // `mappings` are those of one load of the file, ascending, never empty.
  Module(std::shared_ptr<const ModuleContext> context, std::vector<Mapping> mappings,
         bool is_executable);

  const std::string& path() const override { return mappings_.front().path; }
  bool deleted() const override;
  std::uint64_t load_bias() const override { return loaded().bias; }
  std::optional<RemoteAddr> find_symbol(std::string_view name) const override;
  std::optional<AddressRange> find_section(std::string_view name) const override;
  std::vector<AddressRange> writable_segments() const override;
  std::vector<AddressRange> executable_segments() const override;
  std::string note() const override { return loaded().note; }

  bool is_executable() const { return is_executable_; }  // the program itself, not a library
  const std::vector<Mapping>& mappings() const { return mappings_; }
  bool maps(RemoteAddr address) const;   // in a mapping of the file; does not open it
  bool holds(RemoteAddr address) const;  // there, or in its .bss
  // "" when there is none, or the image could not be read.
  std::string build_id() const;
  // A path under which the file can be opened now ("/proc/7/map_files/…"); "" when there is none.
  const std::string& open_path() const { return loaded().open_path; }

 private:
  struct Loaded {
    std::unique_ptr<ElfImage> image;  // null: neither file nor memory could be read
    std::uint64_t bias = 0;
    bool replaced = false;
    std::string open_path;
    std::string note;
  };
  const Loaded& loaded() const;
  Loaded load() const;
  Result<std::unique_ptr<ElfImage>> open_file(UniqueFd fd) const;
  std::unique_ptr<ElfImage> load_from_memory(std::string& note) const;
  std::uint64_t find_bias(const ElfImage* image) const;
  std::vector<AddressRange> segments(bool (*wanted)(const ElfSegment&),
                                     bool Mapping::*permission) const;
  std::uint64_t mapped_length(RemoteAddr start, std::uint64_t size) const;

  // Shared by the modules of one index, which must be able to move: neither outlives the other.
  std::shared_ptr<const ModuleContext> context_;
  std::vector<Mapping> mappings_;
  bool is_executable_;
  mutable std::unique_ptr<Loaded> loaded_;
};

}  // namespace memspy::symbolize
