#include "cli/ports.h"

#include <signal.h>
#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <thread>

#include "cli/process_facts.h"
#include "heap/heap_look.h"
#include "heap/trace_look.h"
#include "procfs/processes.h"
#include "sampler/target.h"

namespace memspy::cli {
namespace {

constexpr std::size_t kShortId = 12;  // as docker prints ids

ProcessRow row_of(const procfs::PythonProcess& process, const procfs::ProcDir& proc) {
  ProcessRow row;
  row.pid = process.identity.pid;
  row.user = process.user.empty() ? std::to_string(process.uid) : process.user;
  row.version = process.version;
  row.container = process.container.substr(0, kShortId);
  row.command = one_line_command(process.command_line, process.name);
  row.rss_bytes = process.rss_bytes;
  if (const auto rollup = proc.smaps_rollup(process.identity.pid))
    row.pss_bytes = rollup->pss_bytes;
  return row;
}

// A shell or a supervisor in front of Python is named by mistake: say whom it stands before.
Error name_python_children(Error error, Pid pid, const procfs::ProcDir& proc) {
  if (error.code != Errc::kUnsupported) return error;
  std::string children;
  for (const auto& process : procfs::python_descendants(proc, pid)) {
    children += fmt::format("{}{} ({})", children.empty() ? "" : ", ", process.identity.pid.value,
                            one_line_command(process.command_line, process.name));
  }
  if (!children.empty()) error.hint = "one of its children, which are Python: " + children;
  return error;
}

}  // namespace

void open_real_ports(Env& env) {
  env.sleep = [](std::chrono::nanoseconds time) { std::this_thread::sleep_for(time); };
  const procfs::ProcDir proc = env.proc;
  env.start_session = [proc](sampler::SessionOptions options,
                             SampleSink& sink) -> Result<std::unique_ptr<sampler::Session>> {
    const std::optional<Pid> pid = options.pid;
    auto session = sampler::Session::start(std::move(options), sink);
    if (session.has_value() || !pid) return session;
    return name_python_children(std::move(session).error(), *pid, proc);
  };
  env.look_at = [proc](Pid pid,
                       const sampler::LookOptions& options) -> Result<sampler::ProcessLook> {
    auto look = sampler::look_at(pid, options);
    if (look.has_value()) return look;
    return name_python_children(std::move(look).error(), pid, proc);
  };
  env.look_at_heap = [proc](Pid pid, const heap::LookOptions& options) -> Result<heap::HeapLook> {
    auto look = heap::look_at_process(pid, options);
    if (look.has_value()) return look;
    return name_python_children(std::move(look).error(), pid, proc);
  };
  env.look_at_core = heap::look_at_core;
  env.look_at_traces = [proc](Pid pid,
                              const heap::TraceLookOptions& options) -> Result<heap::TraceLook> {
    auto look = heap::look_at_traces(pid, options);
    if (look.has_value()) return look;
    return name_python_children(std::move(look).error(), pid, proc);
  };
  env.list_python = [proc] {
    std::vector<ProcessRow> rows;
    for (const auto& process : procfs::find_python_processes(proc))
      rows.push_back(row_of(process, proc));
    return rows;
  };
  env.send_signal = [](Pid pid, int signal) { return ::kill(pid.value, signal) == 0; };
  env.check_access = [proc](Pid pid) { return attach::check_access(proc, pid); };
  env.diagnose = [proc](Pid pid) { return attach::diagnose(proc, pid); };
  env.find_interpreter =
      [proc](Pid pid, std::optional<int> assume_minor,
             std::vector<cpython::LocatorAttempt>& attempts) -> Result<cpython::Interpreter> {
    sampler::Target target(proc, ProcessIndex{1}, pid, assume_minor);
    auto found = target.find_interpreter();
    attempts = target.attempts();
    if (!found.has_value()) return std::move(found).error();
    const cpython::Interpreter* interpreter = target.interpreter();
    if (interpreter == nullptr)
      return make_error(Errc::kInternal, "no interpreter after its search");
    return *interpreter;
  };
}

}  // namespace memspy::cli
