// /proc, with its root as a parameter: the host's, a container's, or a folder of captured files in
// a test. Thin readers over the pure parsers of this folder. Thread-safe: no state but the root.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "memspy/address.h"
#include "memspy/memory_map.h"
#include "memspy/process.h"
#include "memspy/result.h"
#include "procfs/cgroup.h"
#include "procfs/maps.h"
#include "procfs/smaps_rollup.h"
#include "procfs/stat.h"
#include "procfs/status.h"

namespace memspy::procfs {

class ProcDir {
 public:
  // `host_root` stands before absolute paths outside of /proc (cgroup file systems, /sys): "" but
  // in tests.
  explicit ProcDir(std::string root = "/proc", std::string host_root = "")
      : root_(std::move(root)), host_root_(std::move(host_root)) {}
  const std::string& root() const { return root_; }
  const std::string& host_root() const { return host_root_; }
  // True for the kernel's own /proc: system calls about a pid then speak of the same process.
  bool live() const { return root_ == "/proc"; }
  std::string path(Pid pid, std::string_view entry) const;           // root/PID/entry
  std::string path(Pid pid, Tid tid, std::string_view entry) const;  // root/PID/task/TID/entry

  // Each: kNoSuchProcess when the process (or thread) is gone, kPermission when it may not be read.
  Result<Stat> stat(Pid pid) const;
  Result<Stat> stat(Pid pid, Tid tid) const;
  Result<Status> status(Pid pid) const;
  Result<Status> status(Pid pid, Tid tid) const;
  Result<Statm> statm(Pid pid) const;
  Result<MemoryMap> maps(Pid pid) const;
  Result<SmapsRollup> smaps_rollup(Pid pid) const;
  Result<std::vector<std::string>> command_line(Pid pid) const;  // empty for kernel threads
  Result<std::string> comm(Pid pid, Tid tid) const;
  Result<std::string> executable(Pid pid) const;  // readlink of exe, " (deleted)" kept
  Result<std::string> syscall(
      Pid pid, Tid tid) const;  // "running" or numbers; kUnsupported in some containers
  Result<std::vector<Tid>> threads(Pid pid) const;   // ascending
  Result<std::vector<Pid>> children(Pid pid) const;  // direct ones, of all its threads
  Result<std::uint64_t> open_files(Pid pid) const;
  Result<CgroupMemory> cgroup_memory(Pid pid) const;  // v1 or v2, nearest limit
  std::vector<Pid> processes() const;                 // every numeric entry, ascending
  Result<ProcessIdentity> identity(Pid pid) const;
  Result<std::string> cgroup_path(Pid pid) const;     // the most specific one; "/" at the root
  bool exists(Pid pid) const;                         // zombies exist
  bool exists(const ProcessIdentity& process) const;  // …and its PID is not another's by now
  // The target of a symbolic link below root/PID ("ns/pid", "cwd"…).
  Result<std::string> link(Pid pid, std::string_view entry) const;
  // A whole file below root/PID, for what has no parser here.
  Result<std::string> text(Pid pid, std::string_view entry) const;
  // A setting or a file of the host: "sys/kernel/perf_event_paranoid" below the root, and absolute
  // paths below host_root. nullopt when it is missing or unreadable; blanks at the end are cut.
  std::optional<std::string> setting(std::string_view entry) const;
  std::optional<std::string> host_file(std::string_view absolute_path) const;

 private:
  Error explain(Error error, Pid pid) const;
  Error explain(Error error, Pid pid, Tid tid) const;

  std::string root_;
  std::string host_root_;
};

}  // namespace memspy::procfs
