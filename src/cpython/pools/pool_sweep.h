// How many blocks of each size class are in use: the headers of all pools, read in slices while the
// target runs. A pass over a large heap takes milliseconds, and whoever asks has stops to answer in
// between.
#pragma once

#include <array>
#include <cstdint>
#include <unordered_map>
#include <vector>

#include "cpython/pools/arena_list.h"
#include "cpython/pools/pool_batch.h"
#include "cpython/pools/pool_header.h"

namespace memspy::cpython {

// One pass, summed up.
struct PoolCounts {
  std::array<std::uint64_t, kSizeClasses> used{};         // blocks
  std::array<std::uint32_t, kSizeClasses> block_bytes{};  // 0: no pool of this class was seen
  std::uint64_t pools = 0, unread = 0;
  std::uint64_t used_bytes() const;
};

class PoolSweep {
 public:
  explicit PoolSweep(const Layout& layout) : layout_(layout), batch_(layout) {}

  // The next step() begins a new pass over these arenas.
  void begin(std::vector<Arena> arenas);
  // Reads so many headers at most. True: the pass is complete, and counts() is of it.
  bool step(const MemoryReader& memory, std::size_t headers);
  bool under_way() const { return under_way_; }
  // Of the last complete pass.
  const PoolCounts& counts() const { return counts_; }
  // usedpools, by what the pools of that pass point to: the list of a class is headed there, in the
  // place of a pool. 0: no pool has told.
  RemoteAddr used_pools() const { return used_pools_; }

 private:
  void flush(const MemoryReader& memory);
  void finish();
  void vote(RemoteAddr link, const PoolHeader& header);

  const Layout& layout_;
  std::vector<Arena> arenas_;
  std::size_t arena_ = 0;  // where the pass is
  RemoteAddr next_;
  bool under_way_ = false;
  PoolBatch batch_;
  PoolCounts current_, counts_;
  std::unordered_map<std::uint64_t, std::uint32_t> votes_;
  RemoteAddr used_pools_;
};

}  // namespace memspy::cpython
