#include "attach/denial.h"

#include <sys/stat.h>
#include <unistd.h>

#include <array>

#include <spdlog/fmt/fmt.h>

namespace memspy::attach {
namespace {

constexpr std::string_view kSudo =
    "sudo memspy ..., or: setcap cap_sys_ptrace+ep $(command -v memspy)";
constexpr std::string_view kContainer =
    "give memspy's container SYS_PTRACE: docker run --cap-add SYS_PTRACE ...; "
    "compose: cap_add: [SYS_PTRACE]; "
    "kubectl: securityContext: {capabilities: {add: [SYS_PTRACE]}}, or: "
    "kubectl debug POD --profile=sysadmin --target=CONTAINER ...";

// The check of the kernel's ptrace_may_access: the caller's file system ids against all of the
// target's.
bool same_ids(const procfs::UserIds& caller, const procfs::UserIds& target) {
  return caller.filesystem == target.real && caller.filesystem == target.effective &&
         caller.filesystem == target.saved;
}

bool is_descendant(const procfs::ProcDir& proc, Pid pid, Pid ancestor) {
  constexpr int kMaxDepth = 64;
  for (int depth = 0; depth < kMaxDepth && pid.value > 1; ++depth) {
    if (pid == ancestor) return true;
    const auto stat = proc.stat(pid);
    if (!stat) return false;
    pid = stat->ppid;
  }
  return false;
}

bool looks_like_container(const procfs::ProcDir& proc) {
  if (proc.host_file("/.dockerenv") || proc.host_file("/run/.containerenv")) return true;
  const auto groups = proc.setting("self/cgroup");
  return groups && !procfs::container_id(procfs::parse_cgroup_paths(*groups).longest).empty();
}

}  // namespace

std::string self_namespace(const procfs::ProcDir& proc, std::string_view name) {
  std::array<char, 128> text;
  const std::string path = fmt::format("{}/self/ns/{}", proc.root(), name);
  const ssize_t length = ::readlink(path.c_str(), text.data(), text.size());
  return length > 0 ? std::string(text.data(), static_cast<std::size_t>(length)) : "";
}

AccessFacts gather_access_facts(const procfs::ProcDir& proc, Pid pid, procfs::Status target) {
  AccessFacts facts;
  facts.pid = pid;
  facts.target = std::move(target);
  facts.users = procfs::UserNames(proc);
  if (const auto text = proc.setting("self/status")) {
    facts.self = procfs::parse_status(*text).value_or({});
  }
  if (const auto scope = proc.setting("sys/kernel/yama/ptrace_scope");
      scope && scope->size() == 1) {
    facts.yama = scope->front() - '0';
  }
  facts.in_container = looks_like_container(proc);
  facts.other_user =
      !same_ids(facts.self.uid, facts.target.uid) || !same_ids(facts.self.gid, facts.target.gid);
  struct stat info {};
  // The kernel gives the files of a process that must not be dumped to root.
  if (::stat(proc.path(pid, "stat").c_str(), &info) == 0) {
    facts.dumpable = info.st_uid == facts.target.uid.effective;
  }
  facts.descendant = is_descendant(proc, pid, facts.self.pid);
  facts.user_namespace = proc.link(pid, "ns/user").value_or("");
  facts.self_user_namespace = self_namespace(proc, "user");
  return facts;
}

std::string memspy_tracer_remedy(Pid pid) {
  return fmt::format(
      "a daemon's is asked by: memspy top --daemon, memspy attach --daemon -p {}; another ends by "
      "Ctrl-C",
      pid.value);
}

std::string ptrace_remedy(const AccessFacts& facts) {
  // Root that lacks it, or a container that grants it to nobody: only who starts them can change
  // that.
  const bool granted = (facts.self.cap_bounding >> kCapSysPtrace & 1) != 0;
  const bool outside = facts.self.uid.effective == 0 || (facts.in_container && !granted);
  return std::string(outside ? kContainer : kSudo);
}

std::optional<Obstacle> yama_obstacle(const AccessFacts& facts) {
  const auto evidence = fmt::format("kernel.yama.ptrace_scope is {}", facts.yama.value_or(0));
  switch (facts.yama.value_or(0)) {
    case 0:
      return std::nullopt;
    case 1:
      if (facts.has_ptrace() || facts.descendant) return std::nullopt;
      return Obstacle{fmt::format("{}, and memspy ({}) is not its parent", evidence,
                                  facts.users.label(facts.self.uid.effective)),
                      ptrace_remedy(facts)};
    case 2:
      if (facts.has_ptrace()) return std::nullopt;
      return Obstacle{evidence + ": only CAP_SYS_PTRACE may look into other processes",
                      ptrace_remedy(facts)};
    default:
      return Obstacle{evidence + ": no process may look into another, whatever its privileges",
                      "set kernel.yama.ptrace_scope to 2 or less in /etc/sysctl.d and reboot: "
                      "until then no privilege helps"};
  }
}

std::optional<Obstacle> user_obstacle(const AccessFacts& facts) {
  if (!facts.other_user || facts.has_ptrace()) return std::nullopt;
  const auto& self = facts.self.uid;
  const auto& target = facts.target.uid;
  if (self.effective == 0) return std::nullopt;  // root without the capability: say that instead
  if (self.filesystem == target.effective) {
    return Obstacle{fmt::format("it changed its user or group ids (real {}, effective {})",
                                target.real, target.effective),
                    ptrace_remedy(facts)};
  }
  const auto name = facts.users.find(target.effective);
  auto remedy = ptrace_remedy(facts);
  if (!name.empty()) remedy += fmt::format(", or: sudo -u {} memspy ...", name);
  return Obstacle{fmt::format("it runs as {}, memspy as {}", facts.users.label(target.effective),
                              facts.users.label(self.effective)),
                  std::move(remedy)};
}

std::optional<Obstacle> capability_obstacle(const AccessFacts& facts) {
  if (facts.has_ptrace()) return std::nullopt;
  const bool root = facts.self.uid.effective == 0;
  const bool exceeds = (facts.target.cap_permitted & ~facts.self.cap_permitted) != 0;
  if (!(root && facts.other_user) && !exceeds) return std::nullopt;
  return Obstacle{
      fmt::format("memspy lacks CAP_SYS_PTRACE (CapEff {:016x}){}", facts.self.cap_effective,
                  exceeds ? ", and the process has capabilities that memspy has not" : ""),
      ptrace_remedy(facts)};
}

std::optional<Obstacle> dumpable_obstacle(const AccessFacts& facts) {
  if (facts.dumpable || facts.has_ptrace()) return std::nullopt;
  return Obstacle{
      "it is not dumpable: it changed its user, has file capabilities, or called "
      "prctl(PR_SET_DUMPABLE, 0)",
      ptrace_remedy(facts)};
}

std::optional<Obstacle> namespace_obstacle(const AccessFacts& facts) {
  if (!facts.other_user_namespace()) return std::nullopt;
  return Obstacle{
      fmt::format("it lives in another user namespace ({}, memspy in {}), where memspy's "
                  "capabilities may not count",
                  facts.user_namespace, facts.self_user_namespace),
      "run memspy as root of the host, or inside the same container"};
}

std::optional<Obstacle> seccomp_obstacle(const AccessFacts& facts) {
  if (facts.self.seccomp != 2) return std::nullopt;
  return Obstacle{
      "a seccomp filter is set on memspy (Seccomp: 2), as container runtimes do; it may "
      "forbid ptrace and process_vm_readv",
      std::string(kUnfilteredDocker) +
          "; compose: security_opt: [seccomp:unconfined]; kubectl: securityContext: "
          "{seccompProfile: {type: Unconfined}}"};
}

std::optional<Obstacle> find_obstacle(const AccessFacts& facts) {
  // Yama 3 beats every privilege. Then what a person can tell apart; what may be innocent comes
  // last.
  if (facts.yama.value_or(0) >= 3) return yama_obstacle(facts);
  for (auto* find : {user_obstacle, capability_obstacle, dumpable_obstacle, yama_obstacle,
                     namespace_obstacle, seccomp_obstacle}) {
    if (auto obstacle = find(facts)) return obstacle;
  }
  return std::nullopt;
}

}  // namespace memspy::attach
