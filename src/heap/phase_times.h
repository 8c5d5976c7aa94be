// How long each step of a look took, for -v and the benchmarks.
#pragma once

#include <chrono>
#include <string>
#include <utility>
#include <vector>

namespace memspy::heap {

class PhaseTimes {
 public:
  // Ends the step before. The same name again goes on with it.
  void begin(const char* name) {
    const auto now = Clock::now();
    if (!steps_.empty()) steps_.back().second += now - last_;
    last_ = now;
    if (steps_.empty() || steps_.back().first != name) steps_.emplace_back(name, 0);
  }
  // "finding objects 0.61 s, …"; ends the last step.
  std::string text();

 private:
  using Clock = std::chrono::steady_clock;
  std::vector<std::pair<std::string, std::chrono::nanoseconds>> steps_;
  Clock::time_point last_;
};

}  // namespace memspy::heap
