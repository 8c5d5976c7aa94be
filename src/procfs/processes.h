// The Python processes of a host, for the picker and for `top` without a PID, and family trees.
// Meant to be called every few seconds: one pass over 500 processes takes some 20 ms.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "procfs/proc_dir.h"
#include "procfs/users.h"

namespace memspy::procfs {

struct PythonProcess {
  ProcessIdentity identity;
  Pid ppid;
  std::uint32_t uid = 0;
  std::string user;  // "" when /etc/passwd does not name it
  std::string name;  // comm
  std::vector<std::string> command_line;
  std::string executable;  // "" when it may not be read
  std::string version;     // "3.11", by file names; "" unknown
  std::string container;   // 64 digits, "" outside of containers
  std::uint64_t rss_bytes = 0;
  bool readable = false;  // memspy may read its maps: most likely its memory too
};

// Ascending by pid. A process counts when its executable or argv[0] is called python…, or a
// libpython is mapped into it (embedded and frozen ones; seen only where maps may be read). An
// interpreter linked statically into a program of another name is not found.
std::vector<PythonProcess> find_python_processes(const ProcDir& proc);

// The same question about one process. nullopt: it is gone, or is none that counts.
std::optional<PythonProcess> find_python_process(const ProcDir& proc, const UserNames& users,
                                                 Pid pid);

// Children, their children and so on, parents before children; without `pid`. Kernel threads and
// zombies of the tree are included.
std::vector<Pid> descendants(const ProcDir& proc, Pid pid);

// Those of its descendants that are Python, ascending by pid; as find_python_processes, but without
// looking at the rest of the host.
std::vector<PythonProcess> python_descendants(const ProcDir& proc, Pid pid);

// True for "python", "python3", "python3.11", "python3.13t", "python3.8-dbg"; not for
// "python3-config".
bool is_python_name(std::string_view base_name);

// The version a path or a text of maps speaks of: "python3.11" and "libpython3.11.so" give "3.11",
// "cpython-311" too; "" when it speaks of none.
std::string python_version_in(std::string_view text);

}  // namespace memspy::procfs
