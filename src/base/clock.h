// Time as the sampler sees it, so that tests need no sleeping.
#pragma once

#include <chrono>

namespace memspy {

using SteadyTime = std::chrono::steady_clock::time_point;

class Clock {
 public:
  virtual ~Clock() = default;
  virtual SteadyTime now() const = 0;
};

class SystemClock final : public Clock {
 public:
  SteadyTime now() const override { return std::chrono::steady_clock::now(); }
};

// Since the Unix epoch: for the one anchor of a recording, never for intervals.
std::chrono::nanoseconds wall_clock_now();

}  // namespace memspy
