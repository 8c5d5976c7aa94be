// How fast a figure grows: over the last minute, from points some seconds apart.
//
// Pure; one thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <optional>
#include <utility>

#include "base/clock.h"
#include "base/duration.h"

namespace memspy::daemon {

class RateWindow {
 public:
  explicit RateWindow(std::chrono::nanoseconds window = std::chrono::minutes(1))
      : window_(window) {}

  void add(SteadyTime now, double value) {
    // Few points: a window is a matter of a few hundred targets.
    if (points_.size() > 1 && now - points_[points_.size() - 2].first < window_ / kPoints) {
      points_.back() = {now, value};
    } else {
      points_.emplace_back(now, value);
    }
    while (points_.size() > 2 && now - points_[1].first >= window_) points_.pop_front();
  }
  // nullopt: less than ten seconds are known, which say nothing about a rate.
  std::optional<double> per_minute() const {
    if (points_.empty()) return std::nullopt;
    const auto elapsed = points_.back().first - points_.front().first;
    if (elapsed < std::chrono::seconds(10)) return std::nullopt;
    return (points_.back().second - points_.front().second) / to_seconds(elapsed) * 60;
  }

 private:
  static constexpr int kPoints = 12;
  std::chrono::nanoseconds window_;
  std::deque<std::pair<SteadyTime, double>> points_;
};

}  // namespace memspy::daemon
