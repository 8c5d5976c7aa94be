// Which free block is watched next. Every block that is taken and kept within a round must have had
// a known chance to be watched, whether it was taken alone or as one of a thousand at once: its
// weight is one by that chance. A third of the draws is even over as many blocks as a round takes
// on the average, a third over as many as any round has taken lately; the last falls with the
// distance, far beyond that, for bursts.
//
// Pure; one thread.
#pragma once

#include <array>
#include <cstdint>
#include <random>

#include "cpython/pools/pool_header.h"

namespace memspy::sampler {

class LiveOdds {
 public:
  struct Draw {
    std::uint32_t size_class = 0;
    std::uint64_t nth = 0;  // block of the class, from 0
    double weight = 0;      // for one draw a round; of `n` draws each counts 1/n of it
  };

  explicit LiveOdds(std::uint64_t seed) : random_(seed) {}

  // By how many blocks and bytes a class grows in a round; 0 where it does not.
  void set_growth(std::uint32_t size_class, double blocks, double bytes);
  // So many blocks may be taken at once.
  void expect_burst(std::uint32_t size_class, double blocks) { reach_to(size_class, blocks); }
  // False: no class grows, and there is nothing to watch.
  bool grows() const { return total_ > 0; }
  Draw draw();
  // That block was taken: rounds reach so far.
  void note_taken(std::uint32_t size_class, std::uint64_t nth);
  void next_round();

  // The chance of one draw to be this block of its class, once the class is chosen.
  double chance(std::uint32_t size_class, std::uint64_t nth) const;
  double class_chance(std::uint32_t size_class) const;

 private:
  void reach_to(std::uint32_t size_class, double blocks);
  std::uint64_t draw_nth(std::uint32_t size_class);
  std::mt19937_64 random_;
  std::array<double, cpython::kSizeClasses> growth_{};  // bytes a round
  std::array<double, cpython::kSizeClasses> mean_{};    // blocks that a round takes
  std::array<double, cpython::kSizeClasses> reach_{};   // blocks that a round takes, at most so far
  double total_ = 0;
  std::size_t growing_ = 0;
};

}  // namespace memspy::sampler
