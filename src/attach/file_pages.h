// The bytes of mappings that are still those of their files: code, constants, untouched data. They
// are read from the file, through the page cache: looking at them through the process would make
// pages resident in it. Where the file cannot be had (deleted, replaced), only the pages that are
// resident in the process are read. Thread-safe.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <tuple>
#include <vector>

#include "attach/process_vm.h"
#include "base/unique_fd.h"
#include "memspy/memory_map.h"
#include "procfs/pagemap.h"
#include "procfs/proc_dir.h"

namespace memspy::attach {

class FilePages {
 public:
  // Opens the file of `mapping`; invalid: it cannot be had. Asked once per file.
  using Opener = std::function<UniqueFd(const Mapping& mapping)>;

  // Of a live process; `pagemap` is its own.
  FilePages(const procfs::ProcDir& proc, Pid pid, const MemoryMap& map, procfs::Pagemap pagemap);
  // Files alone.
  FilePages(const MemoryMap& map, const Opener& open);
  ~FilePages();

  // The bytes at `addr`, as far as they lie together; empty: they cannot be had.
  std::span<const std::byte> view(const Mapping& mapping, RemoteAddr addr) const;
  std::size_t unreachable_files() const { return unreachable_; }

 private:
  struct Area;
  struct Live {
    ProcessVm memory;
    procfs::Pagemap pagemap;
  };
  using Key = std::tuple<std::uint64_t, std::uint64_t, std::string>;  // device, inode, path

  static Key key_of(const Mapping& m) { return {m.device, m.inode, m.path}; }
  void open_files(const MemoryMap& map, const Opener& open);
  Area* area_of(const Mapping& mapping) const;
  void load(Area& area, std::size_t block) const;
  void load_from_file(Area& area, std::size_t first, std::size_t count) const;
  void load_from_process(Area& area, std::size_t first, std::size_t count) const;

  std::unique_ptr<Live> live_;
  std::map<Key, UniqueFd> files_;
  std::size_t unreachable_ = 0;
  mutable std::mutex mutex_;
  mutable std::map<RemoteAddr, std::unique_ptr<Area>> areas_;
  mutable std::uint64_t loaded_bytes_ = 0;
};

}  // namespace memspy::attach
