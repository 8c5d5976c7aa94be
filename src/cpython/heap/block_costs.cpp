#include "cpython/heap/block_costs.h"

namespace memspy::cpython {

// Where malloc was not asked, or does not know: its usual rounding.
std::uint64_t BlockCosts::of_malloc(RemoteAddr start, std::uint64_t computed) const {
  if (census_.is_static(start)) return 0;
  const RemoteAddr block = start - census_.hook_bytes();
  if (input_.malloc_blocks != nullptr) {
    if (const auto size = input_.malloc_blocks->usable_size(block)) return *size;
  }
  constexpr std::uint64_t kChunkHead = 8, kChunkUnit = 16;
  return (computed + census_.hook_bytes() + kChunkHead + kChunkUnit - 1) / kChunkUnit * kChunkUnit;
}

std::uint64_t BlockCosts::of_object(RemoteAddr object, std::uint32_t head,
                                    std::uint64_t computed) const {
  if (const Pool* pool = census_.pools().find(object)) return pool->block_bytes;
  return of_malloc(object - head, head + computed);
}

std::uint64_t BlockCosts::of_owned(RemoteAddr address, std::uint64_t computed) {
  if (!address) return 0;
  PoolMap& pools = census_.pools();
  const Pool* pool = pools.find(address);
  if (pool == nullptr) return of_malloc(address, computed);
  const std::uint32_t block = pools.block_of(*pool, address);
  if (block >= pool->blocks || pools.state(*pool, block) != BlockState::kUsed) return 0;
  pools.set_state(*pool, block, BlockState::kOwned);
  return pool->block_bytes;
}

AddressRange BlockCosts::block_of(RemoteAddr address, std::uint64_t computed) const {
  const PoolMap& pools = census_.pools();
  const Pool* pool = pools.find(address);
  if (pool == nullptr) return {address, of_malloc(address, computed)};
  const std::uint32_t block = pools.block_of(*pool, address);
  if (block >= pool->blocks) return {};
  return {pools.block_start(*pool, block), pool->block_bytes};
}

}  // namespace memspy::cpython
