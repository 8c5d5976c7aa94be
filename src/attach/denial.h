// The facts of /proc behind a refused look into a process. Shared by access and diagnose.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "procfs/proc_dir.h"
#include "procfs/users.h"

namespace memspy::attach {

// linux/capability.h, by the numbers that status prints.
enum Capability {
  kCapDacReadSearch = 2,
  kCapSysPtrace = 19,
  kCapSysAdmin = 21,
  kCapPerfmon = 38,
  kCapBpf = 39,
  kCapCheckpointRestore = 40,
};

struct AccessFacts {
  Pid pid;
  procfs::Status target;
  procfs::Status self;  // of memspy; all zero when it cannot be read
  procfs::UserNames users{std::string_view{}};
  std::optional<int> yama;    // kernel.yama.ptrace_scope; nullopt: no Yama
  bool in_container = false;  // memspy is
  bool other_user = false;    // not the ids that ptrace asks for
  bool dumpable = true;       // false: /proc says that its files are not its own user's
  bool descendant = false;    // of memspy
  std::string user_namespace, self_user_namespace;  // "user:[4026531837]"; "" unknown

  bool has_ptrace() const { return self.has_capability(kCapSysPtrace); }
  bool other_user_namespace() const {
    return !user_namespace.empty() && !self_user_namespace.empty() &&
           user_namespace != self_user_namespace;
  }
};

AccessFacts gather_access_facts(const procfs::ProcDir& proc, Pid pid, procfs::Status target);

// One obstacle: the evidence and the remedy.
struct Obstacle {
  std::string why;
  std::string remedy;
};
// The obstacle that the facts prove, the surest first; nullopt when they prove none.
std::optional<Obstacle> find_obstacle(const AccessFacts& facts);
std::optional<Obstacle> yama_obstacle(const AccessFacts& facts);
std::optional<Obstacle> user_obstacle(const AccessFacts& facts);
std::optional<Obstacle> dumpable_obstacle(const AccessFacts& facts);
std::optional<Obstacle> capability_obstacle(const AccessFacts& facts);
std::optional<Obstacle> namespace_obstacle(const AccessFacts& facts);
std::optional<Obstacle> seccomp_obstacle(const AccessFacts& facts);

// What a seccomp filter of a container runtime needs, in the words of the commonest one.
inline constexpr std::string_view kUnfilteredDocker =
    "docker run --cap-add SYS_PTRACE --security-opt seccomp=unconfined ...";

// Where the process' tracer is a memspy.
std::string memspy_tracer_remedy(Pid pid);
// How to get the capability here: in a container, the docker, compose and kubectl lines.
std::string ptrace_remedy(const AccessFacts& facts);

// A namespace of memspy's own process: "pid" -> "pid:[4026531836]"; "" when unreadable.
std::string self_namespace(const procfs::ProcDir& proc, std::string_view name);

}  // namespace memspy::attach
