// How the first pool of each size class fills, between two passes of a sweep: two reads, whatever
// the size of the heap. A pass over a large one comes every half minute, and what grows meanwhile
// would be known only then.
//
// Less than the truth: what other pools take is not seen, and nothing at all of a pool that became
// the first one and was filled between two looks. Read while the target runs; one thread.
#pragma once

#include <array>
#include <cstdint>

#include "cpython/pools/pool_batch.h"

namespace memspy::cpython {

class FrontierPulse {
 public:
  using Blocks = std::array<std::int64_t, kSizeClasses>;

  FrontierPulse(const Layout& layout, const MemoryReader& memory)
      : layout_(layout), memory_(memory), batch_(layout) {}

  // Blocks that were taken, less those given back, since the look before, in the pools that were
  // the first ones then. `used_pools`: PoolSweep::used_pools(); zeros where it is not known.
  Blocks look(RemoteAddr used_pools);

 private:
  using Heads = std::array<RemoteAddr, kSizeClasses>;  // 0: no pool of that class has room
  struct First {
    RemoteAddr pool;
    std::uint32_t used = 0;
  };
  Heads read_heads(RemoteAddr used_pools) const;

  const Layout& layout_;
  const MemoryReader& memory_;
  PoolBatch batch_;
  std::array<First, kSizeClasses> first_{};
};

}  // namespace memspy::cpython
