#include "cpython/pools/pool_header.h"

#include <algorithm>

#include "cpython/remote_fields.h"

namespace memspy::cpython {
namespace {

constexpr std::uint64_t kMaxBlockBytes = 512;  // larger requests go to malloc

std::uint64_t get(const Layout& layout, std::span<const std::byte> header, Field field) {
  const Slot slot = layout.slots[static_cast<std::size_t>(field)];
  return load(header, slot.offset, slot.width).value_or(0);
}

std::uint32_t narrow(std::uint64_t value) { return static_cast<std::uint32_t>(value); }

}  // namespace

std::optional<std::uint32_t> block_index(const Layout& layout, RemoteAddr pool,
                                         const PoolHeader& header, RemoteAddr block) {
  const std::uint64_t inside = block.value - pool.value;
  const std::uint64_t head = layout.size(Struct::kPool);
  if (inside < head || inside >= layout.strategies.pool_bytes || header.block_bytes == 0)
    return std::nullopt;
  const std::uint64_t index = (inside - head) / header.block_bytes;
  if ((inside - head) % header.block_bytes != 0 || index >= header.blocks) return std::nullopt;
  return narrow(index);
}

std::optional<PoolHeader> decode_pool(const Layout& layout, RemoteAddr pool,
                                      std::span<const std::byte> bytes) {
  const std::uint64_t pool_bytes = layout.strategies.pool_bytes;
  const std::uint64_t head = layout.size(Struct::kPool);
  const std::uint64_t used = get(layout, bytes, Field::kPoolRefCount);
  const std::uint64_t size_class = get(layout, bytes, Field::kPoolSizeIndex);
  const std::uint64_t max_next = get(layout, bytes, Field::kPoolMaxNextOffset);
  const std::uint64_t next_offset = get(layout, bytes, Field::kPoolNextOffset);
  if (used == 0 || size_class >= kSizeClasses || max_next >= pool_bytes) return std::nullopt;
  const std::uint64_t size = pool_bytes - max_next;  // whatever the alignment of this build
  const std::uint64_t step = size / (size_class + 1);
  if (size > kMaxBlockBytes || size % (size_class + 1) != 0 || (step != 8 && step != 16))
    return std::nullopt;
  PoolHeader header;
  header.block_bytes = narrow(size);
  header.blocks = narrow((pool_bytes - head) / size);
  if (used > header.blocks || next_offset < head || next_offset > pool_bytes + size ||
      (next_offset - head) % size != 0)
    return std::nullopt;
  header.used = narrow(used);
  header.size_class = narrow(size_class);
  header.reached = std::min(narrow((next_offset - head) / size), header.blocks);
  header.arena = narrow(get(layout, bytes, Field::kPoolArenaIndex));
  header.free_block = {get(layout, bytes, Field::kPoolFreeBlock)};
  header.next = {get(layout, bytes, Field::kPoolNext)};
  header.previous = {get(layout, bytes, Field::kPoolPrevious)};
  if (header.free_block && !block_index(layout, pool, header, header.free_block))
    return std::nullopt;
  return header;
}

PoolHeader header_of_free_pool(const Layout& layout, RemoteAddr pool,
                               std::span<const std::byte> bytes, std::uint32_t size_class,
                               std::uint32_t block_bytes) {
  const std::uint64_t pool_bytes = layout.strategies.pool_bytes;
  const std::uint64_t head = layout.size(Struct::kPool);
  PoolHeader header;
  header.size_class = size_class;
  header.block_bytes = block_bytes;
  header.blocks = narrow((pool_bytes - head) / block_bytes);
  const bool same = get(layout, bytes, Field::kPoolSizeIndex) == size_class &&
                    get(layout, bytes, Field::kPoolMaxNextOffset) == pool_bytes - block_bytes;
  const std::uint64_t next_offset = get(layout, bytes, Field::kPoolNextOffset);
  if (!same || next_offset < head) return header;
  header.free_block = {get(layout, bytes, Field::kPoolFreeBlock)};
  header.reached = std::min(narrow((next_offset - head) / block_bytes), header.blocks);
  if (header.free_block && !block_index(layout, pool, header, header.free_block))
    header.free_block = {};
  return header;
}

}  // namespace memspy::cpython
