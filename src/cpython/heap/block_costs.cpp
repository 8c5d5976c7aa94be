#include "cpython/heap/block_costs.h"

namespace memspy::cpython {

// Does writable memory go on for so long? Neighbouring mappings differ where a part was advised.
bool BlockCosts::fits(RemoteAddr start, std::uint64_t bytes) const {
  const Mapping* mapping = find_mapping(input_.map, start);
  for (RemoteAddr at = start; mapping != nullptr && mapping->writable;) {
    if (bytes <= mapping->end.value - at.value) return true;
    bytes -= mapping->end.value - at.value;
    at = mapping->end;
    mapping = find_mapping(input_.map, at);
  }
  return false;
}

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

std::uint64_t BlockCosts::of_object(RemoteAddr object, std::uint32_t head, std::uint64_t computed) {
  if (const Pool* pool = census_.pools().find(object)) return pool->block_bytes;
  if (census_.is_static(object - head)) return 0;
  if (!fits(object - head, head + computed)) {
    const bool asked = input_.malloc_blocks != nullptr;
    census_.reject(asked ? input_.malloc_blocks->usable_size(object - head).value_or(0) : 0);
    return 0;
  }
  return of_malloc(object - head, head + computed);
}

std::uint64_t BlockCosts::of_owned(RemoteAddr address, std::uint64_t computed) {
  if (!address) return 0;
  PoolMap& pools = census_.pools();
  const Pool* pool = pools.find(address);
  if (pool == nullptr) {
    if (fits(address, computed)) return of_malloc(address, computed);
    // Read-only data may be pointed to as well: it costs no heap, and is nobody's mistake.
    const Mapping* mapping = find_mapping(input_.map, address);
    if (mapping == nullptr || mapping->writable) census_.reject(0);
    return 0;
  }
  const std::uint32_t block = pools.block_of(*pool, address);
  if (block >= pool->blocks || pools.state(*pool, block) != BlockState::kUsed) return 0;
  pools.set_state(*pool, block, BlockState::kOwned);
  return pool->block_bytes;
}

AddressRange BlockCosts::block_of(RemoteAddr address, std::uint64_t computed) const {
  const PoolMap& pools = census_.pools();
  const Pool* pool = pools.find(address);
  if (pool == nullptr) return {address, fits(address, computed) ? of_malloc(address, computed) : 0};
  const std::uint32_t block = pools.block_of(*pool, address);
  if (block >= pool->blocks) return {};
  return {pools.block_start(*pool, block), pool->block_bytes};
}

}  // namespace memspy::cpython
