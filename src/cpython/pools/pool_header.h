// The header of a pool of pymalloc, checked: a size class, its blocks, and which of them are free.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>

#include "cpython/layout.h"
#include "memspy/address.h"

namespace memspy::cpython {

inline constexpr std::size_t kSizeClasses = 64;             // 32 in builds that align to 16 bytes
using ClassBytes = std::array<std::int64_t, kSizeClasses>;  // by size class

// From the list of one size class in usedpools to the next: two pointers, named as if they were the
// header of a pool.
inline constexpr std::uint64_t kListStride = 16;

struct PoolHeader {
  std::uint32_t used = 0;  // blocks
  std::uint32_t size_class = 0, block_bytes = 0;
  std::uint32_t blocks = 0;   // that fit
  std::uint32_t reached = 0;  // blocks from the first on that were handed out at least once
  std::uint32_t arena = 0;    // index into the array of arenas
  RemoteAddr free_block;      // the first of the chain of those given back; 0: none
  RemoteAddr next, previous;  // pools of the class that have a free block
  bool full() const { return used >= blocks; }
};

// nullopt: no pool that is in use, or one whose fields contradict each other.
std::optional<PoolHeader> decode_pool(const Layout& layout, RemoteAddr pool,
                                      std::span<const std::byte> header);

// What the allocator hands out next of a pool without a block in use: as it was left when it was of
// this class before, else cut anew.
PoolHeader header_of_free_pool(const Layout& layout, RemoteAddr pool,
                               std::span<const std::byte> header, std::uint32_t size_class,
                               std::uint32_t block_bytes);

inline RemoteAddr block_at(const Layout& layout, RemoteAddr pool, const PoolHeader& header,
                           std::uint32_t index) {
  return pool + layout.size(Struct::kPool) + std::uint64_t{index} * header.block_bytes;
}

// nullopt: not the beginning of a block of this pool.
std::optional<std::uint32_t> block_index(const Layout& layout, RemoteAddr pool,
                                         const PoolHeader& header, RemoteAddr block);

}  // namespace memspy::cpython
