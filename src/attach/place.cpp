#include "attach/place.h"

#include <spdlog/fmt/fmt.h>

#include "attach/denial.h"
#include "procfs/cgroup.h"

namespace memspy::attach {
namespace {

constexpr std::size_t kShortId = 12;                        // as docker prints ids
constexpr std::string_view kHostPids = "pid:[4026531836]";  // the kernel's PROC_PID_INIT_INO

// Its container's id, or "a container" where only its namespaces tell; "": it is in none.
std::string container_of(const procfs::ProcDir& proc, Pid pid) {
  const std::string id = procfs::container_id(proc.cgroup_path(pid).value_or(""));
  if (!id.empty()) return "container " + id.substr(0, kShortId);
  const auto pids = proc.link(pid, "ns/pid");
  if (!pids.has_value()) return "namespaces that memspy may not read";
  return *pids != kHostPids ? "a container, or a PID namespace of another kind" : "";
}

bool same_root(const procfs::ProcDir& proc, Pid pid) {
  const auto theirs = proc.link(pid, "ns/mnt");
  return theirs.has_value() && *theirs == self_namespace(proc, "mnt");
}

// Not its root: with the host's PIDs, that of the first process.
bool in_own_root(const procfs::ProcDir& proc) {
  const auto of_host = proc.link(Pid{1}, "ns/mnt");
  return of_host.has_value() && *of_host != self_namespace(proc, "mnt");
}

bool same_pids(const procfs::ProcDir& proc, Pid pid, const std::string& ours) {
  const auto theirs = proc.link(pid, "ns/pid");
  return !theirs.has_value() || *theirs == ours;
}

}  // namespace

std::string describe_place(const procfs::ProcDir& proc, Pid pid, bool in_container) {
  const std::string ours = self_namespace(proc, "pid");
  if (!ours.empty() && ours != kHostPids) {
    if (!same_pids(proc, pid, ours))
      return "in a container, or PID namespace, and the process in another one within it";
    if (same_root(proc, pid))
      return "inside the process' own container, or PID namespace: the processes there, and no "
             "others";
    return "beside the process' container, in its PID namespace with a root of its own, as a debug "
           "container (kubectl debug --target, docker run --pid container:NAME) or a sidecar "
           "(shareProcessNamespace) is";
  }
  const bool contained = in_container || in_own_root(proc);
  if (contained && same_root(proc, pid))
    return "inside the process' own container, which has the PIDs of the host";
  const std::string container = container_of(proc, pid);
  const std::string process =
      container.empty() ? "the process is in no container" : "the process is in " + container;
  if (contained)
    return "in a container with the PIDs of the host, as one for each node (hostPID, docker run "
           "--pid host) is; " +
           process;
  return "on the host; " + process;
}

}  // namespace memspy::attach
