#include "cli/ports.h"

#include <thread>

#include "sampler/target.h"

namespace memspy::cli {

void open_real_ports(Env& env) {
  env.start_session = sampler::Session::start;
  env.look_at = sampler::look_at;
  env.sleep = [](std::chrono::nanoseconds time) { std::this_thread::sleep_for(time); };
  const procfs::ProcDir proc = env.proc;
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
