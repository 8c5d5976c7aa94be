#include "cli/ports.h"

#include <thread>

#include "cli/process_facts.h"
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
  if (const auto rollup = proc.smaps_rollup(process.identity.pid)) row.pss_bytes = rollup->pss_bytes;
  return row;
}

}  // namespace

void open_real_ports(Env& env) {
  env.start_session = sampler::Session::start;
  env.look_at = sampler::look_at;
  env.sleep = [](std::chrono::nanoseconds time) { std::this_thread::sleep_for(time); };
  const procfs::ProcDir proc = env.proc;
  env.list_python = [proc] {
    std::vector<ProcessRow> rows;
    for (const auto& process : procfs::find_python_processes(proc))
      rows.push_back(row_of(process, proc));
    return rows;
  };
  env.diagnose = [proc](Pid pid) { return attach::diagnose(proc, pid); };
  env.find_interpreter = [proc](Pid pid, std::optional<int> assume_minor,
                                std::vector<cpython::LocatorAttempt>& attempts)
      -> Result<cpython::Interpreter> {
    sampler::Target target(proc, ProcessIndex{1}, pid, assume_minor);
    auto found = target.find_interpreter();
    attempts = target.attempts();
    if (!found.has_value()) return std::move(found).error();
    return *target.interpreter();
  };
}

}  // namespace memspy::cli
