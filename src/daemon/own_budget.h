// What the daemon and its tracers may cost together. Over it, the interval grows and tracers become
// fewer, step by step, and a sentence says so; under it, the steps are taken back.
//
// Pure; one thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

#include "base/clock.h"
#include "daemon/config.h"

namespace memspy::daemon {

// CPU since the start; memory now.
struct OwnCost {
  double daemon_cpu_seconds = 0, tracers_cpu_seconds = 0;
  std::uint64_t memory_bytes = 0;
  unsigned tracers = 0;
};

class OwnBudget {
 public:
  explicit OwnBudget(const BudgetConfig& config) : config_(config) {}
  void set_config(const BudgetConfig& config) { config_ = config; }

  // True when something has changed.
  bool update(SteadyTime now, const OwnCost& cost);
  unsigned interval_factor() const { return 1U << level_; }
  // At most so many tracers; nullopt: as the configuration says.
  std::optional<unsigned> tracer_limit() const { return limit_; }
  // "own CPU 4.2 % of 3 %: …"; "" when nothing is lowered.
  const std::string& thrift() const { return thrift_; }

 private:
  void explain(double percent, std::uint64_t memory_bytes);
  BudgetConfig config_;
  std::optional<SteadyTime> begin_;
  OwnCost before_;
  unsigned level_ = 0;
  std::optional<unsigned> limit_;
  std::string thrift_;
};

}  // namespace memspy::daemon
