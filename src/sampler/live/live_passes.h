// When each size class has grown, pass by pass, so that what grew at some time is shared out by
// blocks that were taken then. A burst of thousands within a round is mostly beyond what is drawn:
// its bytes are not to go to whoever was watched at another time, and if no block of it was watched
// to nobody.
//
// Pure; tracer thread.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/clock.h"
#include "cpython/pools/pool_header.h"

namespace memspy::sampler {

// A block that is still there.
struct StandIn {
  SteadyTime taken{};
  double bytes = 0;  // that it stands for
};

// Blocks of one time, by their places, and the growth that is theirs to share, in bytes.
struct Stratum {
  std::size_t begin = 0, end = 0;
  double growth = 0;
};

class LivePasses {
 public:
  static constexpr std::size_t kMaxPasses = 256;  // kept; of more, every other one
  static constexpr std::size_t kLeastBlocks = 8;  // of what is looked at together

  // What each class has grown by since the first pass, in bytes.
  void note(SteadyTime time, const cpython::ClassBytes& growth);
  // Of a class that has grown by `growth` bytes; `blocks` in the order they were taken.
  std::vector<Stratum> strata(std::uint32_t size_class, double growth,
                              std::span<const StandIn> blocks) const;

 private:
  struct Pass {
    SteadyTime time{};
    cpython::ClassBytes growth{};
  };
  std::vector<Stratum> cut(std::uint32_t size_class, std::span<const StandIn> blocks) const;

  std::vector<Pass> passes_;
};

}  // namespace memspy::sampler
