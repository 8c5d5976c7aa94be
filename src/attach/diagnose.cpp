// The checks of `memspy doctor`, each a small function from facts to one Finding.
#include <unistd.h>

#include <csignal>
#include <cstring>

#include <spdlog/fmt/fmt.h>

#include "attach/access.h"
#include "attach/denial.h"
#include "attach/place.h"
#include "attach/signal_choice.h"
#include "base/byte_units.h"

namespace memspy::attach {
namespace {

using procfs::ProcDir;
using enum FindingLevel;

struct Subject {
  const ProcDir& proc;
  Pid pid;
  const Attempts& attempts;
  AccessFacts facts;
};

std::string reason(int err) { return std::strerror(err); }  // NOLINT(concurrency-mt-unsafe)

Finding check_process(const Subject& s) {
  const auto& t = s.facts.target;
  const auto rss = t.vm_rss_bytes ? format_bytes(*t.vm_rss_bytes) : "none";
  return {"process", kOk,
          fmt::format("PID {} ({}), {} threads, RSS {}", s.pid.value, t.name, t.threads, rss), ""};
}

Finding check_state(const Subject& s) {
  const char state = s.facts.target.state;
  switch (state) {
    case 'Z':
    case 'X':
      return {"state", kFail, "zombie: it has ended", "nothing is left to look at"};
    case 'T':
      return {"state", kWarn, "stopped by a signal (T); memspy leaves it so",
              fmt::format("nothing will happen in it until: kill -CONT {}", s.pid.value)};
    case 'D':
      return {"state", kWarn, "in uninterruptible sleep (D): a stop would wait for it",
              "a process that stays in D waits for a device or a network file system"};
    default:
      return {"state", kOk, fmt::format("{}", state), ""};
  }
}

Finding check_tracer(const Subject& s) {
  const Pid tracer = s.facts.target.tracer;
  if (tracer.value == 0) return {"tracer", kOk, "not traced", ""};
  const auto status = s.proc.status(tracer);
  const std::string name = status.has_value() ? status->name : "?";
  return {"tracer", kFail, fmt::format("traced by PID {} ({})", tracer.value, name),
          name == "memspy" ? memspy_tracer_remedy(s.pid)
                           : fmt::format("quit that tracer, or: kill {}", tracer.value)};
}

// An obstacle matters only where looking really fails; otherwise it is told as it is.
Finding from_obstacle(std::string check, const std::optional<Obstacle>& obstacle, bool readable,
                      std::string otherwise) {
  if (!obstacle) return {std::move(check), kOk, std::move(otherwise), ""};
  return {std::move(check), readable ? kWarn : kFail, obstacle->why, obstacle->remedy};
}

Finding check_user(const Subject& s, bool readable) {
  const auto& f = s.facts;
  return from_obstacle(
      "user", user_obstacle(f), readable,
      fmt::format("the process is {}, memspy {}", f.users.label(f.target.uid.effective),
                  f.users.label(f.self.uid.effective)));
}

// Which of the places of docs/guides/containers.md this is: what a remedy is depends on it.
Finding check_place(const Subject& s) {
  return {"place", kOk, "memspy is " + describe_place(s.proc, s.pid, s.facts.in_container), ""};
}

Finding check_namespaces(const Subject& s, bool readable) {
  std::string others;
  for (const auto* name : {"pid", "mnt"}) {
    const auto theirs = s.proc.link(s.pid, fmt::format("ns/{}", name));
    const auto ours = self_namespace(s.proc, name);
    if (theirs && !ours.empty() && *theirs != ours) others += fmt::format(" {}", name);
  }
  const auto evidence = others.empty()
                            ? std::string("the same as memspy's")
                            : fmt::format("of its own:{} (memspy copes with that)", others);
  return from_obstacle("namespaces", namespace_obstacle(s.facts), readable, evidence);
}

Finding check_yama(const Subject& s, bool readable) {
  const auto& yama = s.facts.yama;
  return from_obstacle(
      "yama", yama_obstacle(s.facts), readable,
      yama ? fmt::format("kernel.yama.ptrace_scope is {}, which is no obstacle here", *yama)
           : "not in this kernel");
}

Finding check_capabilities(const Subject& s, bool readable) {
  const auto& self = s.facts.self;
  std::string held;
  constexpr std::pair<int, const char*> kNames[] = {{kCapSysPtrace, "SYS_PTRACE"},
                                                    {kCapPerfmon, "PERFMON"},
                                                    {kCapBpf, "BPF"},
                                                    {kCapSysAdmin, "SYS_ADMIN"},
                                                    {kCapDacReadSearch, "DAC_READ_SEARCH"},
                                                    {kCapCheckpointRestore, "CHECKPOINT_RESTORE"}};
  for (const auto& [number, name] : kNames) {
    if (self.has_capability(number)) held += fmt::format(" {}", name);
  }
  return from_obstacle("capabilities", capability_obstacle(s.facts), readable,
                       held.empty() ? "memspy has none; none is needed for one's own processes"
                                    : "memspy has" + held);
}

Finding check_dumpable(const Subject& s, bool readable) {
  return from_obstacle("dumpable", dumpable_obstacle(s.facts), readable,
                       s.facts.dumpable ? "yes" : "no, but memspy has CAP_SYS_PTRACE");
}

Finding check_seccomp(const Subject& s, bool readable) {
  if (const int err = s.attempts.trace(); err > 0) {
    return {"seccomp", kFail,
            fmt::format("ptrace is forbidden to memspy altogether ({})", reason(err)),
            std::string(kUnfilteredDocker) + "; without stops and stacks: --engine rss"};
  }
  if (readable) {
    return {"seccomp", kOk,
            fmt::format("memspy: {}, the process: {} (0 off, 2 filtered)", s.facts.self.seccomp,
                        s.facts.target.seccomp),
            ""};
  }
  return from_obstacle("seccomp", seccomp_obstacle(s.facts), readable, "memspy is not filtered");
}

Finding check_memory(const Subject& s, int err) {
  if (err == kNotTried) return {"memory", kWarn, "not tried: this /proc is a copy", ""};
  if (err == 0) return {"memory", kOk, "process_vm_readv works", ""};
  const auto error = explain_denial(s.proc, s.pid, err);
  return {"memory", kFail, fmt::format("process_vm_readv: {}; {}", reason(err), error.why),
          error.hint};
}

Finding check_pagemap(const Subject& s) {
  const int err = s.attempts.read_pagemap(s.proc, s.pid);
  if (err == kNotTried) return {"pagemap", kWarn, "not tried: this /proc is a copy", ""};
  if (err == 0) return {"pagemap", kOk, "readable", ""};
  return {"pagemap", kWarn,
          fmt::format("{}: pages given back cannot be told, growth is gross", reason(err)),
          "run memspy as the user of the process, or as root"};
}

Finding check_paranoid(const Subject& s) {
  const auto text = s.proc.setting("sys/kernel/perf_event_paranoid");
  if (!text) {
    return {"perf_event_paranoid", kWarn, "this kernel has no perf events",
            "memspy falls back to polling, which is approximate"};
  }
  const bool patched = text->size() == 1 && (*text)[0] >= '3';
  // CAP_PERFMON is not enough for these kernels.
  if (!patched || s.facts.self.has_capability(kCapSysAdmin))
    return {"perf_event_paranoid", kOk, *text, ""};
  if (s.attempts.page_fault_event(Tid{s.pid.value}, false) == 0)
    return {"perf_event_paranoid", kOk, *text + ", which this kernel takes as 2", ""};
  return {"perf_event_paranoid", kWarn,
          fmt::format("{}: Debian's and Ubuntu's kernels refuse perf events from 3 on", *text),
          "sudo sysctl kernel.perf_event_paranoid=2, or give memspy CAP_SYS_ADMIN: CAP_PERFMON is "
          "not enough there"};
}

// What is missing, of capability, setting and filter.
std::string perf_remedy(const Subject& s, int paranoid) {
  const auto lower = fmt::format("sudo sysctl kernel.perf_event_paranoid={}", paranoid);
  if (s.facts.self.seccomp == 2 && s.facts.self.has_capability(kCapPerfmon))
    return "a seccomp filter that lets it through: --security-opt seccomp=unconfined; else: " +
           lower;
  if (s.facts.self.has_capability(kCapPerfmon))
    return lower + ", or give memspy CAP_SYS_ADMIN: CAP_PERFMON, which it has, is not enough here";
  return "give memspy CAP_PERFMON (in containers also: --security-opt seccomp=unconfined), or: " +
         lower;
}

Finding check_fault_event(const Subject& s, bool with_kernel, bool readable) {
  const std::string check = with_kernel ? "page faults (with kernel)" : "page faults (user)";
  const int err = s.attempts.page_fault_event(Tid{s.pid.value}, with_kernel);
  if (err == kNotTried) return {check, kWarn, "not tried: this /proc is a copy", ""};
  if (err == 0) return {check, kOk, "perf_event_open works", ""};
  const auto evidence =
      fmt::format("perf_event_open: {}{}", reason(err),
                  s.facts.self.seccomp == 2 ? " (memspy runs under a seccomp filter)" : "");
  if (!readable) return {check, kWarn, evidence, "the same as for its memory, first"};
  if (with_kernel) {
    return {check, kWarn,
            evidence + ": pages first touched by the kernel are counted, not attributed",
            perf_remedy(s, 1)};
  }
  return {check, kWarn, evidence + ": memspy falls back to polling, which is approximate",
          perf_remedy(s, 2)};
}

// Nothing is lost without it but speed: engine faults sees as much.
Finding check_bpf(const Subject& s) {
  const std::string why = s.attempts.bpf();
  if (why.empty()) return {"bpf", kOk, "its program loads: nothing has to be stopped", ""};
  return {"bpf", kOk, "not used: " + why, ""};
}

// What one mode alone needs: without it the others go on.
Finding check_mode(std::string check, const std::string& why, std::string_view mode,
                   bool readable) {
  if (why.empty()) return {std::move(check), kOk, fmt::format("work: {}", mode), ""};
  if (why == kNotTriedText) return {std::move(check), kWarn, why, ""};
  return {std::move(check), kWarn, fmt::format("{}: {} does not work here", why, mode),
          readable ? "none needed for mode growth, nor for a look at the heap"
                   : "the same as for its memory, first"};
}

// Handlers are the process', masks each thread's own.
Finding check_signals(const Subject& s) {
  constexpr std::size_t kMaxThreads = 256;
  if (!perf_signals_reach(s.facts.target)) {
    return {"signals", kWarn,
            "perf's signals reach processes of memspy's own user only: memspy falls back to "
            "polling, which is approximate",
            "run memspy as root, or as the user of the target"};
  }
  const auto chosen = choose_signal(s.facts.target);
  if (!chosen) {
    return {"signals", kWarn,
            "SIGURG, SIGWINCH and SIGCHLD are all caught or blocked in the main thread",
            "memspy falls back to polling, which is approximate"};
  }
  std::size_t blocked = 0;
  const auto tids = s.proc.threads(s.pid).value_or({});
  for (std::size_t i = 0; i < tids.size() && i < kMaxThreads; ++i) {
    const auto thread = s.proc.status(s.pid, tids[i]);
    if (thread && !choose_signal(*thread)) ++blocked;
  }
  const char* name = *chosen == SIGURG ? "SIGURG" : *chosen == SIGWINCH ? "SIGWINCH" : "SIGCHLD";
  if (blocked == 0) return {"signals", kOk, fmt::format("{} is free", name), ""};
  return {"signals", kWarn,
          fmt::format("{} is free, but {} of {} threads block every usable signal", name, blocked,
                      tids.size()),
          "these threads are sampled less exactly"};
}

Finding check_huge_pages(const Subject& s) {
  const auto enabled = s.proc.host_file("/sys/kernel/mm/transparent_hugepage/enabled");
  if (!enabled) return {"huge pages", kOk, "not in this kernel", ""};
  const bool off = s.facts.target.thp_enabled == false;
  if (enabled->find("[always]") == std::string::npos || off) {
    return {"huge pages", kOk, off ? *enabled + ", turned off by the process" : *enabled, ""};
  }
  return {"huge pages", kWarn, *enabled + ": one page fault may add 2 MiB to RSS",
          "none needed: memspy weighs such faults by what they map; expect coarser steps"};
}

Finding check_cgroup(const Subject& s) {
  const auto memory = s.proc.cgroup_memory(s.pid);
  if (!memory) return {"cgroup", kOk, "no memory control group can be seen", ""};
  const auto kills = memory->oom_kills.value_or(0);
  const auto told =
      kills == 0 ? std::string() : fmt::format("; the OOM killer struck {} times", kills);
  if (!memory->limit_bytes || !memory->usage_bytes) {
    return {"cgroup", kills == 0 ? kOk : kWarn,
            fmt::format("v{}, no limit{}", memory->version, told), ""};
  }
  const double share = 100.0 * static_cast<double>(*memory->usage_bytes) /
                       static_cast<double>(std::max<std::uint64_t>(*memory->limit_bytes, 1));
  const auto evidence = fmt::format(
      "v{}, {} of {} used ({:.0f} %) in {}{}", memory->version, format_bytes(*memory->usage_bytes),
      format_bytes(*memory->limit_bytes), share, memory->limit_group, told);
  if (share < 90) return {"cgroup", kills == 0 ? kOk : kWarn, evidence, ""};
  return {"cgroup", kWarn, evidence,
          "run memspy outside of this control group: its own memory counts too"};
}

Finding check_kernel(const Subject& s) {
  const auto release = s.proc.setting("sys/kernel/osrelease").value_or("");
  int major = 0;
  int minor = 0;
  if (std::sscanf(release.c_str(), "%d.%d", &major, &minor) != 2) {
    return {"kernel", kWarn, "its version cannot be read", ""};
  }
  const bool scan = major > 6 || (major == 6 && minor >= 7);
  const bool map_files = s.facts.self.has_capability(kCapSysAdmin) ||
                         s.facts.self.has_capability(kCapCheckpointRestore);
  return {"kernel", kOk,
          fmt::format("{}: PAGEMAP_SCAN {}, files deleted since they were mapped {}", release,
                      scan ? "yes" : "no (6.7)", map_files ? "readable" : "read from memory"),
          ""};
}

}  // namespace

std::string_view finding_level_name(FindingLevel level) {
  switch (level) {
    case kOk:
      return "ok";
    case kWarn:
      return "warn";
    case kFail:
      return "fail";
  }
  return "?";
}

std::vector<Finding> diagnose(const ProcDir& proc, Pid pid, const Attempts& attempts) {
  // What makes every further question pointless (no process, a thread id, a kernel thread) is said
  // alone.
  const auto accessible = check_access(proc, pid, attempts);
  auto status = proc.status(pid);
  const bool pointless = !accessible && accessible.error().code != Errc::kPermission &&
                         accessible.error().code != Errc::kAlreadyTraced;
  if (pointless || !status) {
    const Error& error = accessible ? status.error() : accessible.error();
    return {{"process", kFail,
             error.why.empty() ? describe(error) : error.message + ": " + error.why, error.hint}};
  }
  const Subject s{proc, pid, attempts, gather_access_facts(proc, pid, std::move(status).value())};
  const int read = attempts.read_memory(proc, pid);
  const bool readable = read == 0;
  return {check_process(s),
          check_state(s),
          check_tracer(s),
          check_place(s),
          check_user(s, readable),
          check_namespaces(s, readable),
          check_yama(s, readable),
          check_capabilities(s, readable),
          check_dumpable(s, readable),
          check_seccomp(s, readable),
          check_memory(s, read),
          check_pagemap(s),
          check_paranoid(s),
          check_fault_event(s, false, readable),
          check_fault_event(s, true, readable),
          check_bpf(s),
          check_mode("watchpoints", s.attempts.watchpoint(Tid{s.pid.value}), "mode live", readable),
          check_mode("CPU clocks", s.attempts.clock(Tid{s.pid.value}), "mode alloc", readable),
          check_signals(s),
          check_huge_pages(s),
          check_cgroup(s),
          check_kernel(s)};
}

}  // namespace memspy::attach
