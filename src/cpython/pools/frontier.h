// The frontier of pymalloc: which free block of a size class is handed out next, and which after
// it. The order is the allocator's own: the chain of the first pool that has room, then the blocks
// of that pool that were never handed out, then the next pool; at last pools without a block in
// use.
//
// Read while the target runs: what it does meanwhile makes an answer old, never a walk endless. The
// lists of pools are remembered: a hop from pool to pool is a read of memory that nobody has in a
// cache, and the same pools would be gone over for each question.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <vector>

#include "cpython/pools/arena_list.h"
#include "cpython/pools/pool_header.h"
#include "cpython/pools/pool_words.h"

namespace memspy::cpython {

struct FreeBlock {
  RemoteAddr address, pool;
  std::uint32_t size_class = 0, block_bytes = 0;
};

enum class BlockUse {
  kUsed,
  kFree,
  kGone,       // its pool is in use no more, or for another class
  kUnreadable  // now; the pool changed under the reader, perhaps
};

class Frontier {
 public:
  Frontier(const Layout& layout, const MemoryReader& memory) : layout_(layout), memory_(memory) {}

  // As a sweep has found them last.
  void set_used_pools(RemoteAddr used_pools) {
    if (used_pools != used_pools_) forget_lists();
    used_pools_ = used_pools;
  }
  // How much room the pools of the lists have may have changed.
  void forget_lists() {
    for (List& list : lists_) list = {};
  }
  void set_arenas(const std::vector<Arena>& arenas);
  void set_block_bytes(std::uint32_t size_class, std::uint32_t bytes) {
    block_bytes_[size_class % kSizeClasses] = bytes;
  }

  // The block that the `nth` allocation from now takes if nothing is given back; 0 is the next one.
  std::optional<FreeBlock> find(std::uint32_t size_class, std::uint64_t nth);
  BlockUse use_of(const FreeBlock& block);

 private:
  // The pools of a class that have room, as they were when the list was gone over: from `first` on
  // they still are in it, as far as one knows.
  struct Link {
    RemoteAddr pool;
    std::uint64_t free = 0;
  };
  struct List {
    std::vector<Link> links;
    std::size_t first = 0;
    RemoteAddr behind;  // the last of them: a pool, or where the list is headed
  };
  bool begin_list(List& list, RemoteAddr first);
  std::vector<std::byte> header_bytes(RemoteAddr pool) const;  // empty: not readable
  std::optional<PoolHeader> header_at(RemoteAddr pool, std::uint32_t size_class) const;
  std::optional<FreeBlock> pick(RemoteAddr pool, const PoolHeader& header, std::uint64_t nth);
  std::optional<FreeBlock> find_in_free_pools(std::uint32_t size_class, std::uint64_t nth);
  std::optional<Arena> next_arena();
  std::optional<Arena> next_at(RemoteAddr entry) const;
  PoolWords words_of(RemoteAddr pool);
  BlockUse in_chain(const FreeBlock& block, const PoolHeader& header);

  const Layout& layout_;
  const MemoryReader& memory_;
  RemoteAddr used_pools_;
  std::vector<RemoteAddr> arenas_;  // their entries
  RemoteAddr next_arena_;           // the entry that was the next one last
  std::array<std::uint32_t, kSizeClasses> block_bytes_{};
  std::array<List, kSizeClasses> lists_;
  std::vector<std::byte> room_;  // for the copy of a pool
};

}  // namespace memspy::cpython
