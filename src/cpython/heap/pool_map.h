// pymalloc's pools, block by block: which are in use, and in the end by whom. One byte a block.
#pragma once

#include <cstdint>
#include <vector>

#include "cpython/heap/heap_bytes.h"
#include "cpython/heap/heap_walker.h"
#include "cpython/interpreter.h"
#include "cpython/pools/arena.h"

namespace memspy::cpython {

enum class BlockState : std::uint8_t { kFree, kUsed, kObject, kOwned };

struct Pool {
  RemoteAddr address;
  std::uint32_t block_bytes = 0, blocks = 0;  // blocks that fit, used or not
  std::uint32_t arena = 0;                    // as the pool's header says
  std::uint64_t first_state = 0;              // of its blocks within the map
};

class PoolMap {
 public:
  // Through the arrays of arenas of every interpreter where they are known, and by looking for
  // headers in anonymous memory where they are not. Empty: pymalloc is not in use.
  static PoolMap read(const HeapInput& input, HeapBytes& bytes);

  const std::vector<Pool>& pools() const { return pools_; }                  // ascending
  const std::vector<AddressRange>& arenas() const { return arena_ranges_; }  // ascending
  std::uint32_t pool_bytes() const { return static_cast<std::uint32_t>(pool_bytes_); }
  std::uint32_t header_bytes() const { return header_bytes_; }
  std::uint64_t rejected() const {
    return rejected_;
  }  // pools with a list of free blocks that is none
  bool by_scan() const { return by_scan_; }

  // The pool in use that holds `address`; null: none.
  const Pool* find(RemoteAddr address) const;
  // The block of `pool` that holds `address`; `pool.blocks` when it lies in the header or the rest.
  std::uint32_t block_of(const Pool& pool, RemoteAddr address) const;
  RemoteAddr block_start(const Pool& pool, std::uint32_t block) const {
    return pool.address + header_bytes_ + std::uint64_t{block} * pool.block_bytes;
  }
  BlockState state(const Pool& pool, std::uint32_t block) const {
    return static_cast<BlockState>(states_[pool.first_state + block]);
  }
  void set_state(const Pool& pool, std::uint32_t block, BlockState state) {
    states_[pool.first_state + block] = static_cast<std::uint8_t>(state);
  }

  // Every byte of the arenas once, by the states as they are now.
  PymallocBytes account() const;

 private:
  void add_pool(HeapBytes& bytes, const Layout& layout, RemoteAddr address);
  bool add_arenas(const HeapInput& input, HeapBytes& bytes, const ArenaTable& table);
  void scan(const HeapInput& input, HeapBytes& bytes);
  void use_lost_table(const HeapInput& input, HeapBytes& bytes);
  void finish();

  std::vector<Pool> pools_;
  std::vector<AddressRange> arena_ranges_;
  std::vector<std::uint8_t> states_;
  std::vector<std::uint32_t> table_;  // pool number + 1 by hash of the pool's address; 0: empty
  std::uint64_t pool_bytes_ = 0, arena_bytes_ = 0, arenas_total_ = 0, arenas_ = 0;
  std::uint64_t rejected_ = 0;
  std::uint32_t header_bytes_ = 0;
  bool by_scan_ = false;
};

}  // namespace memspy::cpython
