// Opens the file behind a mapping of a live process, wherever it lives: deleted, replaced, in a
// container. What is opened is what the target runs, or nothing.
#pragma once

#include <cstdint>
#include <string>

#include "base/unique_fd.h"
#include "memspy/memory_map.h"
#include "memspy/memory_reader.h"
#include "memspy/result.h"
#include "procfs/proc_dir.h"

namespace memspy::symbolize {

// Is a mapping of the program that a process runs? By device and inode of /proc/PID/exe, or by its
// path: file systems may give the kernel and stat() different numbers.
class ExecutableTest {
 public:
  ExecutableTest(const procfs::ProcDir& proc, Pid pid);
  bool operator()(const Mapping& mapping) const;

 private:
  std::uint64_t device_ = 0, inode_ = 0;
  std::string path_;
};

struct OpenedFile {
  UniqueFd fd;
  std::string path;  // the road that led to it; can be opened again while the target lives
};

// Roads, in order: /proc/PID/map_files/A-B (needs CAP_CHECKPOINT_RESTORE or CAP_SYS_ADMIN),
// /proc/PID/exe when `is_executable`, /proc/PID/root + path. The last is checked against the
// mapping: by device and inode, or, where file systems give the kernel and stat() different numbers
// (overlay, btrfs), by comparing its first bytes with the target's memory. The error names each
// road's failure; kCorrupt: the path now leads to another file.
Result<OpenedFile> open_mapped_file(const procfs::ProcDir& proc, Pid pid, const Mapping& mapping,
                                    bool is_executable, const MemoryReader& memory);

}  // namespace memspy::symbolize
