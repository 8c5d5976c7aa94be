// `attach --daemon`: the daemon does it, also when this terminal is gone.
#pragma once

#include <chrono>
#include <optional>
#include <string>

#include "cli/env.h"
#include "cli/exit_code.h"

namespace CLI {
class App;
}

namespace memspy::cli {

struct HandOver {
  bool daemon = false;
  std::optional<std::chrono::nanoseconds> time;
  std::string socket;  // "": where a daemon usually answers
};

void add_hand_over(CLI::App& app, HandOver& options);
Result<ExitCode> hand_over(const HandOver& options, Pid pid, bool json, Env& env);

}  // namespace memspy::cli
