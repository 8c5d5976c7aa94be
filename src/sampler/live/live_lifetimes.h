// How long blocks live, by the stack that took them, whichever its thread: what that says of those
// that are still there.
//
// Objects that come and go at a steady pace, each living for a while, look like growth: the new
// ones are known, and the old ones that they replace were taken before the run. So a block counts
// by the chance that it stays, which is that of the blocks of the same stack and age (Kaplan and
// Meier's estimate): one where all the older ones went counts nothing, one that is older than any
// that went counts in full. A stack none of whose blocks went is growth, and a leak among many that
// go is the few that grow old.
//
// Pure; tracer thread.
#pragma once

#include <array>
#include <map>
#include <random>
#include <vector>

#include "cpython/pools/pool_header.h"
#include "memspy/frame.h"

namespace memspy::sampler {

struct Life {
  double seconds = 0;
  double weight = 0;  // for how many blocks it stands
};

// The chance that a block of some age stays, as far as blocks that were followed tell: those that
// are there, and those that went.
class StayCurve {
 public:
  StayCurve(const std::vector<Life>& there, const std::vector<Life>& gone);
  double at(double seconds) const;

 private:
  struct Step {
    double seconds = 0, chance = 1;  // to be there from this age on, of those that began
  };
  std::vector<Step> steps_;  // ascending by age
};

class LiveLifetimes {
 public:
  static constexpr std::size_t kMaxLives = 1024;      // of a stack in a class
  static constexpr std::size_t kMaxStacks = 1 << 14;  // in a class; of more nothing is kept

  // A block was given back at this age.
  void note(std::uint32_t size_class, StackId stack, Life life);
  // Those that are gone.
  const std::vector<Life>& of(std::uint32_t size_class, StackId stack) const;

 private:
  std::array<std::map<StackId, std::vector<Life>>, cpython::kSizeClasses> lives_;
  std::mt19937_64 random_{42};
};

}  // namespace memspy::sampler
