// How often a process may be stopped. A token bucket of time: every stop is paid from it, and every
// second adds `percent` of a second. When it is empty the period of the fault events grows at once;
// once a window it is set to what the fault rate and the price of a stop call for.
//
// One thread (the tracer). Pure: time is a parameter.
#pragma once

#include <chrono>
#include <cstdint>

#include "base/clock.h"
#include "sampler/trail_budget.h"

namespace memspy::sampler {

// What processes may spend at their beginning, before they have earned it: a second's worth of
// stops for each, and no more than a few of those at a time. A service that runs a command for each
// request would be held up by all of them otherwise.
class StartSavings {
 public:
  explicit StartSavings(SteadyTime now) : last_(now) {}
  // Does a process that begins now get its savings?
  bool take(SteadyTime now);

 private:
  double starts_ = kMostStarts;
  SteadyTime last_;
  static constexpr double kMostStarts = 16, kStartsPerSecond = 4;
};

class Budget {
 public:
  // `percent`: of the target's time that stops may take, together with what they cost memspy
  // itself. `savings`: some of it may be spent at the beginning.
  explicit Budget(double percent, SteadyTime now, bool savings = true);

  // Of what was planned, the part that may be spent now: CostWatch.
  void set_thrift(double thrift);

  // A stop that held a thread for `held`, at which `faults` faults had gone by. True when a period
  // has changed and should be set on every thread of the process.
  bool on_stop(SteadyTime now, std::chrono::nanoseconds held, std::uint64_t faults);
  // Faults that were counted without a stop. True: the period of the trails has changed.
  bool add_faults(std::uint64_t faults) {
    window_faults_ += faults;
    return trail_.add_faults(faults);
  }
  void expect_huge_pages() { trail_.expect_huge_pages(); }
  // Stops are dearer than allowed: fewer of them until the next window.
  void back_off() { set_period(static_cast<double>(period_) * 2); }
  // Call a few times a second, also when nothing stops. True: a period has changed.
  bool on_tick(SteadyTime now);

  // Faults per sample, before jitter.
  std::uint64_t period() const { return period_; }
  // Uniform in [period/2, period*3/2], so that samples do not beat with blocks of 2^n pages.
  std::uint64_t jittered_period();
  // Where in a period a thread begins, so that its first stop is as likely at any of its faults.
  std::uint64_t phase();
  // The same while much is to be learnt from stops, as far as the savings go.
  std::uint64_t eager_period();
  // May a stop be asked for that the period would not have brought?
  bool can_hurry() const { return balance_ > 0; }
  // Faults for each record of the trails.
  std::uint64_t trail_period() const { return trail_.period(); }

 private:
  std::uint64_t random();
  bool set_period(double wanted);
  bool adjust(SteadyTime now);
  double planned_rate_;         // seconds of stop per second
  double rate_;                 // the same, after thrift
  double balance_;              // seconds
  double stop_price_ = 240e-6;  // moving average, seconds
  double fault_rate_ = 0;       // per second, moving average
  std::uint64_t window_faults_ = 0;
  SteadyTime window_start_;
  SteadyTime last_;
  std::uint64_t period_;
  TrailBudget trail_;
  std::uint64_t random_ = 0x9e3779b97f4a7c15ULL;
};

}  // namespace memspy::sampler
