// How many of a process' faults leave a record in its trails. A bucket of records: each record is
// taken from it, every second adds what the budget allows, and a second and a half can be saved, so
// that a burst is recorded fault by fault and only growth that goes on is thinned out.
//
// One thread (the tracer). Pure: time is a parameter.
#pragma once

#include <cstdint>

#include "base/clock.h"

namespace memspy::sampler {

class TrailBudget {
 public:
  // `percent`: of the target's time, as for Budget.
  TrailBudget(double percent, SteadyTime now);

  void set_thrift(double thrift);
  // A huge page is one fault, and one that leaves no record is 2 MiB on the wrong line: a process that
  // has such may leave more records.
  void expect_huge_pages();
  // Faults that were counted; about one in period() of them left a record. True: the period has
  // changed.
  bool add_faults(std::uint64_t faults);
  // Call a few times a second. True: the period has changed.
  bool on_tick(SteadyTime now);
  // Faults for each record. Odd, so that it does not beat with buffers of 2^n pages.
  std::uint64_t period() const { return period_; }

 private:
  bool set_period(double wanted);
  double capacity() const;

  double planned_rate_;    // records per second
  double rate_;            // the same, after thrift
  double thrift_ = 1;
  bool huge_pages_ = false;
  double balance_;         // records; below zero: to be earned before anything is saved again
  double fault_rate_ = 0;  // per second; rises at once, falls slowly
  std::uint64_t window_faults_ = 0;
  double records_since_raise_ = 0;
  SteadyTime window_start_;
  std::uint64_t period_ = 1;
};

}  // namespace memspy::sampler
