#include "cli/checkpoint.h"

#include "base/duration.h"
#include "cli/signals.h"

namespace memspy::cli {

Result<Unit> Checkpoints::on_tick(std::chrono::nanoseconds time) {
  const bool asked = SignalScope::take_checkpoint_request();
  if (!asked && !(every_ && time - last_ >= *every_)) return Unit{};
  last_ = time;
  const auto written = outputs_->checkpoint();
  if (written.has_value()) {
    say(*env_, "checkpoint after " + format_duration(time));
  } else {
    say(*env_, "checkpoint failed: " + describe(written.error()));
  }
  return Unit{};
}

}  // namespace memspy::cli
