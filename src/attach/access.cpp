#include "attach/access.h"

#include <unistd.h>

#include <cerrno>
#include <string>

#include <spdlog/fmt/fmt.h>

#include "attach/denial.h"

namespace memspy::attach {
namespace {

using procfs::ProcDir;

Error make(Errc code, std::string message, std::string why, std::string hint, int sys = 0) {
  return Error{code, sys, std::move(message), std::move(why), std::move(hint), {}};
}

std::string command_name(const ProcDir& proc, Pid pid) {
  const auto status = proc.status(pid);
  return status ? status->name : "?";
}

bool in_pid_namespace(const ProcDir& proc) {
  const auto text = proc.setting("self/status");
  if (!text) return false;
  const auto self = procfs::parse_status(*text);
  return self && self->ns_pids.size() == 1 && proc.exists(Pid{1}) && !proc.exists(Pid{2});
}

Error no_such_process(const ProcDir& proc, Pid pid, const Attempts& attempts) {
  if (pid.value > 0 && proc.live() && attempts.signal_zero(pid) == EPERM) {
    return make(Errc::kPermission, fmt::format("process {} is hidden from memspy", pid.value),
                "it exists, but /proc is mounted with hidepid and shows only one's own processes",
                "sudo memspy ..., or: mount -o remount,hidepid=0 /proc", EPERM);
  }
  // Without kthreadd (PID 2) this is the inside of a PID namespace.
  const bool inside = in_pid_namespace(proc);
  return make(
      Errc::kNoSuchProcess, fmt::format("no process {}", pid.value),
      fmt::format("there is no {}{}", proc.path(pid, ""),
                  inside ? "; memspy runs in a PID namespace and sees its own numbers only" : ""),
      inside ? "run memspy on the host, or with the target's PID namespace: docker run "
               "--pid=container:NAME ...; kubectl debug POD --target=CONTAINER ..."
             : "memspy top lists the Python processes; inside a container a process has "
               "another PID than outside (perhaps it is in another PID namespace)",
      ESRCH);
}

std::optional<Error> state_obstacle(const ProcDir& proc, Pid pid, const procfs::Status& status) {
  if (status.tgid.value > 0 && status.tgid != pid) {
    return make(Errc::kNoSuchProcess, fmt::format("{} is a thread, not a process", pid.value),
                fmt::format("it belongs to process {} ({})", status.tgid.value,
                            command_name(proc, status.tgid)),
                fmt::format("memspy ... --pid {}", status.tgid.value));
  }
  if (status.zombie()) {
    return make(Errc::kNoSuchProcess,
                fmt::format("process {} ({}) is a zombie", pid.value, status.name),
                fmt::format("it has ended; its parent, PID {} ({}), has not collected it yet",
                            status.ppid.value, command_name(proc, status.ppid)),
                "there is no memory left to look at; start memspy before the process ends");
  }
  const auto stat = proc.stat(pid);
  if (status.kernel_thread || (stat && stat->kernel_thread())) {
    return make(Errc::kUnsupported,
                fmt::format("process {} ({}) is a kernel thread", pid.value, status.name),
                "kernel threads have no memory of their own and run no Python",
                "memspy top lists the Python processes");
  }
  return std::nullopt;
}

std::optional<Error> tracer_obstacle(const ProcDir& proc, Pid pid, const procfs::Status& status) {
  if (status.tracer.value == 0) return std::nullopt;
  // By memspy itself, that is one of its threads: a run that samples it.
  const auto own = std::to_string(status.tracer.value);
  if (proc.live() && ::access(("/proc/self/task/" + own).c_str(), F_OK) == 0) return std::nullopt;
  const auto name = command_name(proc, status.tracer);
  const std::string tracer = std::to_string(status.tracer.value);
  return make(
      Errc::kAlreadyTraced,
      fmt::format("process {} ({}) is already traced by PID {} ({})", pid.value, status.name,
                  tracer, name),
      "a process can have one tracer at a time",
      name == "memspy"
          ? memspy_tracer_remedy(pid) + ", or: kill " + tracer
          : fmt::format("let {} go of it first (quit the debugger, or: kill {})", name, tracer));
}

}  // namespace

Error explain_denial(const ProcDir& proc, Pid pid, int err) {
  auto status = proc.status(pid);
  if (!status) return std::move(status).error();
  const auto facts = gather_access_facts(proc, pid, std::move(status).value());
  auto message = fmt::format("cannot read the memory of PID {} ({}, uid {})", pid.value,
                             facts.target.name, facts.target.uid.effective);
  if (auto obstacle = find_obstacle(facts)) {
    return make(Errc::kPermission, std::move(message), std::move(obstacle->why),
                std::move(obstacle->remedy), err);
  }
  // None of the kernel's own reasons: a security module (SELinux, AppArmor, LSM policies).
  const auto label = proc.text(pid, "attr/current").value_or("");
  const auto own = proc.setting("self/attr/current").value_or("");
  auto why =
      fmt::format("the kernel refused, though ids, capabilities{} allow it: a security module?",
                  facts.yama ? " and Yama" : "");
  if (!label.empty() || !own.empty()) {
    why += fmt::format(" (its label is \"{}\", memspy's \"{}\")", label.substr(0, label.find('\n')),
                       own);
  }
  return make(
      Errc::kPermission, std::move(message), std::move(why),
      facts.has_ptrace() ? "look for a denial in dmesg or the audit log" : ptrace_remedy(facts),
      err);
}

Result<procfs::Status> check_alive(const ProcDir& proc, Pid pid, const Attempts& attempts) {
  if (pid.value <= 0 || !proc.exists(pid)) return no_such_process(proc, pid, attempts);
  auto status = proc.status(pid);
  if (!status) {
    if (status.error().code == Errc::kNoSuchProcess) return no_such_process(proc, pid, attempts);
    return std::move(status).error();
  }
  if (auto error = state_obstacle(proc, pid, *status)) return std::move(*error);
  return status;
}

Result<Unit> check_access(const ProcDir& proc, Pid pid, const Attempts& attempts) {
  const auto status = check_alive(proc, pid, attempts);
  if (!status) return status.error();
  if (auto error = tracer_obstacle(proc, pid, *status)) return std::move(*error);
  const int err = attempts.read_memory(proc, pid);
  if (err == EPERM || err == EACCES) return explain_denial(proc, pid, err);
  if (err == ENOSYS) {
    return make(Errc::kPermission, fmt::format("cannot read the memory of PID {}", pid.value),
                "process_vm_readv is not there: a seccomp filter hides it, or the kernel is built "
                "without CONFIG_CROSS_MEMORY_ATTACH",
                std::string(kUnfilteredDocker), err);
  }
  if (err == ESRCH || err == ENODATA || !proc.exists(pid))
    return no_such_process(proc, pid, attempts);
  if (err > 0) {
    return make_error(Errc::kUnreadable, fmt::format("cannot read the memory of PID {}", pid.value),
                      err);
  }
  if (const int refused = attempts.trace(); refused > 0) {
    return make(Errc::kPermission, fmt::format("cannot trace PID {}", pid.value),
                "its memory can be read, but ptrace is forbidden to memspy altogether: a seccomp "
                "filter, as container runtimes set",
                std::string(kUnfilteredDocker) + ", or without stops and stacks: --engine rss",
                refused);
  }
  return Unit{};
}

}  // namespace memspy::attach
