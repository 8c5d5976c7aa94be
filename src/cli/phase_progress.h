// One line on a terminal's stderr for work of several phases: which, how far, how long still.
// Nothing anywhere else.
#pragma once

#include <chrono>
#include <string>

#include "cli/env.h"

namespace memspy::cli {

class PhaseProgress {
 public:
  explicit PhaseProgress(Env& env) : env_(&env) {}
  ~PhaseProgress() { clear(); }
  PhaseProgress(const PhaseProgress&) = delete;
  PhaseProgress& operator=(const PhaseProgress&) = delete;

  // `share`: 0 to 1; drawn a few times a second at most.
  void show(const std::string& phase, double share);
  void clear();  // before other text is printed

 private:
  Env* env_;
  std::string phase_;
  SteadyTime began_{}, drawn_{};
  bool shown_ = false;
};

// "walking the heap   [######----]  61 %  1.2 s left"
std::string progress_line(const std::string& phase, double share, std::chrono::nanoseconds spent);

}  // namespace memspy::cli
