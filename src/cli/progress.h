// One line on a terminal's stderr that says how a recording goes; nothing anywhere else.
#pragma once

#include <chrono>
#include <optional>

#include "cli/env.h"
#include "cli/sinks_live.h"

namespace memspy::cli {

class Progress {
 public:
  Progress(Env& env, std::optional<std::chrono::nanoseconds> duration)
      : env_(&env), duration_(duration) {}
  void on_tick(std::chrono::nanoseconds time, const WatchSink& watch);
  void clear();  // before other text is printed

 private:
  Env* env_;
  std::optional<std::chrono::nanoseconds> duration_;
  bool shown_ = false;
};

}  // namespace memspy::cli
