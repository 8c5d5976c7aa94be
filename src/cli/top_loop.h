// The loops of `top`: a screen with keys, and a batch of plain text or JSON.
#pragma once

#include <optional>

#include "cli/env.h"
#include "cli/exit_code.h"
#include "cli/options.h"
#include "cli/top_terminal.h"

namespace memspy::cli {

struct TopOptions {
  TargetOptions target;
  SamplingOptions sampling;
  bool functions = false;
  bool batch = false;
  bool json = false;
  std::size_t repeats = 0;  // of a batch; 0: until stopped
  std::size_t rows = 20;      // of a batch
};

Result<ExitCode> run_top_screen(const TopOptions& options, TopTerminal& terminal, Env& env);
Result<ExitCode> run_top_batch(const TopOptions& options, Env& env);

}  // namespace memspy::cli
