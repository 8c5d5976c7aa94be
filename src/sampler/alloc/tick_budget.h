// How long a thread computes between two ticks of its clock, so that the stops of a process stay
// within their part of the budget: from what a stop costs and how much CPU time the process takes.
//
// One thread (the tracer). Pure: time is a parameter.
#pragma once

#include <chrono>
#include <cstdint>

#include "base/clock.h"

namespace memspy::sampler {

class TickBudget {
 public:
  // `percent`: of one core's time, for stops and for all that memspy does. `seed` of the jitter.
  TickBudget(double percent, SteadyTime now, std::uint64_t seed = 1);

  // Of what was planned, the part that may be spent now: CostWatch.
  void set_thrift(double thrift) { rate_ = planned_rate_ * thrift; }
  // A tick that stood for `cpu_time` held its thread for `held`.
  void on_stop(SteadyTime now, std::chrono::nanoseconds held, std::chrono::nanoseconds cpu_time);
  // A stop was dearer than allowed: fewer of them until the next window.
  void back_off();
  // Before jitter.
  std::chrono::nanoseconds period() const { return period_; }
  // Uniform in [period/2, period*3/2]: a program that does the same thing over and over must not
  // beat with it.
  std::chrono::nanoseconds next_period();
  // Where in its first period a thread begins.
  std::chrono::nanoseconds phase();

 private:
  std::uint64_t random();
  void adjust(SteadyTime now);

  double planned_rate_, rate_;  // seconds of stop per second
  double stop_price_ = 100e-6;  // moving average, seconds
  double cpu_rate_ = 0;         // seconds of CPU time per second, moving average
  std::chrono::nanoseconds window_cpu_{};
  SteadyTime window_start_;
  std::chrono::nanoseconds period_;
  std::uint64_t random_;
};

}  // namespace memspy::sampler
