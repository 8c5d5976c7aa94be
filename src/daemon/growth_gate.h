// When a target is worth a tracer: RSS has gone beyond the highest that it was in the last half
// hour, by a step. What goes up and down within known bounds does not grow; a leak always sets new
// peaks. It ends when no step came for a while, which is longer where steps come slowly.
//
// Pure: time is a parameter. One thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <utility>

#include "base/clock.h"
#include "daemon/config.h"

namespace memspy::daemon {

class GrowthGate {
 public:
  // `seen`: when the target was found. Its first moments (`settle`) are not growth: a program loads
  // what it needs.
  GrowthGate(const TracingConfig& config, SteadyTime seen) : config_(config), seen_(seen) {}

  // RSS at this time, ascending. True while it grows.
  bool update(SteadyTime now, std::uint64_t rss_bytes);
  bool growing() const { return growing_; }
  // It grew when the daemon ended last: no need to find that out again.
  void resume(SteadyTime now, std::uint64_t rss_bytes);
  void set_config(const TracingConfig& config) { config_ = config; }

 private:
  std::uint64_t peak(SteadyTime now);
  void keep(SteadyTime now, std::uint64_t rss_bytes);

  TracingConfig config_;
  SteadyTime seen_;
  std::deque<std::pair<SteadyTime, std::uint64_t>> peaks_;  // of each minute, the last 30
  std::uint64_t held_ = 0;                                  // RSS at the last step
  SteadyTime last_step_{};
  std::chrono::nanoseconds patience_{};
  bool growing_ = false;
};

}  // namespace memspy::daemon
