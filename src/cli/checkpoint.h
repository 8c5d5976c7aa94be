// --checkpoint and SIGUSR1: valid outputs of the run so far, at the end of a tick. Lives on the
// session's thread.
#pragma once

#include <chrono>
#include <optional>

#include "cli/record_outputs.h"

namespace memspy::cli {

class Checkpoints {
 public:
  Checkpoints(RecordOutputs& outputs, std::optional<std::chrono::nanoseconds> every, Env& env)
      : outputs_(&outputs), every_(every), env_(&env) {}
  // A checkpoint that fails is said and does not end the run: the recording goes on.
  Result<Unit> on_tick(std::chrono::nanoseconds time);

 private:
  RecordOutputs* outputs_;
  std::optional<std::chrono::nanoseconds> every_;
  std::chrono::nanoseconds last_{};
  Env* env_;
};

}  // namespace memspy::cli
