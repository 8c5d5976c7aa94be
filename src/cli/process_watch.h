// The process list over time: growth per minute needs more than one look.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <utility>
#include <vector>

#include "cli/env.h"

namespace memspy::cli {

class ProcessWatch {
 public:
  explicit ProcessWatch(Env& env) : env_(&env) {}
  // Looks anew; rows by RSS, the largest first.
  const std::vector<ProcessRow>& refresh();
  const std::vector<ProcessRow>& rows() const { return rows_; }

 private:
  Env* env_;
  std::vector<ProcessRow> rows_;
  std::map<Pid, std::pair<SteadyTime, std::uint64_t>> first_;  // of the current minute
};

}  // namespace memspy::cli
