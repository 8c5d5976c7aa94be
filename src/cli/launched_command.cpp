#include "cli/launched_command.h"

#include <signal.h>
#include <spdlog/fmt/fmt.h>

#include <algorithm>

#include "base/duration.h"
#include "cli/process_facts.h"
#include "procfs/processes.h"

namespace memspy::cli {
namespace {

constexpr std::chrono::milliseconds kEndPoll{20};
constexpr std::chrono::seconds kEndPatience{5};
// An interpreter is up and found by then, also on a busy machine.
constexpr std::chrono::seconds kStartUpTime{1};

// Gone, or a zombie that waits for its parent.
bool ended(Pid pid, const Env& env) {
  const auto stat = env.proc.stat(pid);
  return !stat || stat->zombie();
}

using Members = std::vector<ProcessIdentity>;

// Whom a signal to the command is for.
class LaunchedGroup {
 public:
  LaunchedGroup(Pid pid, Env& env) : pid_(pid), env_(&env) {
    const auto stat = env.proc.stat(pid);
    if (stat && !stat->zombie()) group_ = stat->pgrp;
  }

  // Those that live. Of a group that is shared with memspy, only the command's
  // descendants.
  Members members() const {
    Members found;
    if (!group_) return found;
    std::vector<Pid> candidates =
        own() ? env_->proc.processes() : procfs::descendants(env_->proc, pid_);
    if (!own()) candidates.insert(candidates.begin(), pid_);
    for (const Pid pid : candidates) {
      const auto stat = env_->proc.stat(pid);
      if (stat && !stat->zombie() && stat->pgrp == *group_)
        found.push_back({pid, stat->start_ticks});
    }
    return found;
  }

  void terminate(const Members& members) const {
    if (own()) {
      env_->send_signal(Pid{-group_->value}, SIGTERM);
    } else {
      for (const ProcessIdentity& member : members) env_->send_signal(member.pid, SIGTERM);
    }
  }

 private:
  bool own() const { return group_ == pid_; }

  Pid pid_;
  Env* env_;
  std::optional<Pid> group_;
};

// False: `members` holds those that are still there after some seconds.
bool await_end(Members& members, Env& env) {
  for (std::chrono::milliseconds waited{0}; waited < kEndPatience; waited += kEndPoll) {
    std::erase_if(members, [&](const ProcessIdentity& member) {
      const auto stat = env.proc.stat(member.pid);
      return !stat || stat->zombie() || stat->start_ticks != member.start_ticks;
    });
    if (members.empty()) return true;
    env.sleep(kEndPoll);
  }
  return false;
}

std::string pids_text(const Members& members) {
  std::string text;
  for (const ProcessIdentity& member : members)
    text += fmt::format("{}{}", text.empty() ? "PID " : ", ", member.pid.value);
  return text;
}

std::string python_children(Pid pid, const Env& env) {
  std::string children;
  for (const auto& process : procfs::python_descendants(env.proc, pid))
    children += fmt::format("{}{} ({})", children.empty() ? "" : ", ", process.identity.pid.value,
                            one_line_command(process.command_line, process.name));
  return children;
}

std::string hint_for(bool subprocesses, const std::string& children) {
  if (!children.empty()) return "-s, which samples its children too: " + children;
  const char* series = "--rss, which writes the time series of any process";
  return subprocesses ? series : fmt::format("-s, if it starts Python; {}", series);
}

Error ended_too_soon(const ProcessRecord& command, const RunSummary& summary) {
  Error error = make_error(Errc::kTargetGone,
                           fmt::format("the launched command, PID {} ({}), ended before the first "
                                       "good sample",
                                       command.identity.pid.value, printable(command.name)));
  error.why = fmt::format("its interpreter was not up within the {} that it lived",
                          format_duration(summary.duration));
  error.hint = "give it more to do; --rss writes the time series of any process";
  return error;
}

}  // namespace

std::optional<Error> explain_no_python(const LiveRequest& request, const RunHeader& header,
                                       const RunSummary& summary, const WatchSink& watch,
                                       Env& env) {
  const auto& command = watch.target();
  if (header.engine == "rss" || watch.python() == WatchSink::Python::kFound || !command)
    return std::nullopt;
  const Pid pid = command->identity.pid;
  const bool gone = ended(pid, env);
  if (gone && watch.python() == WatchSink::Python::kNamed) return ended_too_soon(*command, summary);
  if (!gone && summary.ended_by.starts_with("signal") && summary.duration < kStartUpTime) {
    say(env, fmt::format("no interpreter was found in the {} before the end was asked for",
                         format_duration(summary.duration)));
    return std::nullopt;
  }
  std::string tried;
  if (!gone) {
    std::vector<cpython::LocatorAttempt> attempts;
    const auto found = env.find_interpreter(pid, request.sampling.assume_minor, attempts);
    if (found.has_value()) return std::nullopt;
    tried = found.error().why;
  }
  const bool subprocesses = request.sampling.subprocesses;
  Error error =
      make_error(Errc::kUnsupported,
                 fmt::format("the launched command, PID {} ({}), {} no CPython that memspy knows",
                             pid.value, printable(command->name), gone ? "was" : "is"));
  error.why = fmt::format("no interpreter was found in it{} in {}",
                          subprocesses ? ", or in what it started," : "",
                          format_duration(summary.duration));
  if (!tried.empty()) error.why += '\n' + tried;
  error.hint = hint_for(subprocesses, subprocesses ? "" : python_children(pid, env));
  return error;
}

void end_launched(Pid pid, bool at_terminal, Env& env) {
  const LaunchedGroup group(pid, env);
  auto members = group.members();
  if (members.empty() || (at_terminal && await_end(members, env))) return;
  group.terminate(members);
  const auto others = std::count_if(members.begin(), members.end(),
                                    [&](const ProcessIdentity& each) { return each.pid != pid; });
  say(env, fmt::format("sent SIGTERM to the launched command (PID {}){}", pid.value,
                       others == 0 ? "" : fmt::format(" and {} that it started", others)));
  // In a group of its own, whoever was born meanwhile has had the signal, or will be asked for
  // here.
  if (await_end(members, env) && await_end(members = group.members(), env)) return;
  const std::string who = members.size() == 1 && members.front().pid == pid
                              ? "it still runs"
                              : fmt::format("{} still run", pids_text(members));
  say(env, fmt::format("{} after {}; left so", who, format_duration(kEndPatience)));
}

}  // namespace memspy::cli
