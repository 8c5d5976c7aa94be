#include "cli/launched_command.h"

#include <signal.h>
#include <spdlog/fmt/fmt.h>

#include "base/duration.h"
#include "cli/process_facts.h"
#include "procfs/processes.h"

namespace memspy::cli {
namespace {

constexpr std::chrono::milliseconds kEndPoll{20};
constexpr std::chrono::seconds kEndPatience{5};

// Gone, or a zombie that waits for its parent.
bool ended(Pid pid, const Env& env) {
  const auto stat = env.proc.stat(pid);
  return !stat || stat->zombie();
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

void end_launched(Pid pid, Env& env) {
  if (ended(pid, env)) return;
  if (::kill(pid.value, SIGTERM) != 0) return;
  say(env, fmt::format("sent SIGTERM to the launched command (PID {})", pid.value));
  for (std::chrono::milliseconds waited{0}; waited < kEndPatience; waited += kEndPoll) {
    if (ended(pid, env)) return;
    env.sleep(kEndPoll);
  }
  say(env, fmt::format("it still runs after {}; it is left so", format_duration(kEndPatience)));
}

}  // namespace memspy::cli
