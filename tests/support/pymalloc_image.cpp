#include "support/pymalloc_image.h"

#include <algorithm>

#include "memspy/memory_reader.h"

namespace memspy::testing {
namespace {

using cpython::Field;
using cpython::ObmallocPlace;
using cpython::Struct;

constexpr std::uint64_t kFirstArena = 0x7f2000000000, kArenaDistance = 0x10000000;
constexpr std::uint64_t kClasses = 64, kListStride = 16;

}  // namespace

PymallocImage::PymallocImage(PyProcess& process, std::uint64_t arenas)
    : process_(process), used_(kClasses) {
  const cpython::Layout& layout = process.image().layout();
  pool_bytes_ = layout.strategies.pool_bytes;
  arena_bytes_ = layout.strategies.arena_bytes;
  header_bytes_ = layout.size(Struct::kPool);
  process.add_pymalloc();  // the array and what leads to it; its pools are swept away
  table_ = process.arena_table();
  lists_ = process.image().allocate(kClasses * kListStride + header_bytes_) + 8;
  for (std::uint32_t c = 0; c < kClasses; ++c) {
    put(head(c), Field::kPoolNext, head(c).value);
    put(head(c), Field::kPoolPrevious, head(c).value);
  }
  for (std::uint64_t i = 0; i < arenas; ++i) {
    const RemoteAddr start{kFirstArena + i * kArenaDistance};
    arenas_.push_back(start);
    auto& segments = process.memory().segments();
    segments[start] = std::vector<std::byte>(arena_bytes_);
    put(arena_entry(i), Field::kArenaAddress, start.value);
    put(arena_entry(i), Field::kArenaPoolAddress, start.value);
    put(arena_entry(i), Field::kArenaTotalPools, arena_bytes_ / pool_bytes_);
    put(arena_entry(i), Field::kArenaFreePools, arena_bytes_ / pool_bytes_);
  }
  order_arenas();
}

RemoteAddr PymallocImage::arena_entry(std::size_t i) const {
  return table_ + (i + 1) * process_.image().layout().size(Struct::kArena);
}

RemoteAddr PymallocImage::head(std::uint32_t size_class) const {
  return lists_ + size_class * kListStride;
}

RemoteAddr PymallocImage::used_pools() const { return lists_; }

std::uint64_t PymallocImage::get(RemoteAddr base, Field field) const {
  return process_.image().get(base, field);
}
void PymallocImage::put(RemoteAddr base, Field field, std::uint64_t value) {
  process_.image().put(base, field, value);
}

MemoryMap PymallocImage::map() const {
  MemoryMap map;
  for (const RemoteAddr start : arenas_) {
    Mapping mapping;
    mapping.start = start, mapping.end = start + arena_bytes_;
    mapping.readable = mapping.writable = true;
    map.push_back(mapping);
  }
  return map;
}

std::size_t PymallocImage::arena_of(RemoteAddr pool) const {
  return (pool.value - kFirstArena) / kArenaDistance;
}

// Those with room, the fullest first: the next pool comes from the first of them.
void PymallocImage::order_arenas() {
  std::vector<std::size_t> order;
  for (std::size_t i = 0; i < arenas_.size(); ++i) {
    put(arena_entry(i), Field::kArenaNext, 0);
    put(arena_entry(i), Field::kArenaPrevious, 0);
    if (get(arena_entry(i), Field::kArenaFreePools) > 0) order.push_back(i);
  }
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return get(arena_entry(a), Field::kArenaFreePools) <
           get(arena_entry(b), Field::kArenaFreePools);
  });
  for (std::size_t i = 1; i < order.size(); ++i) {
    put(arena_entry(order[i]), Field::kArenaPrevious, arena_entry(order[i - 1]).value);
    put(arena_entry(order[i - 1]), Field::kArenaNext, arena_entry(order[i]).value);
  }
}

void PymallocImage::unlink(RemoteAddr pool) {
  const RemoteAddr next{get(pool, Field::kPoolNext)}, previous{get(pool, Field::kPoolPrevious)};
  put(next, Field::kPoolPrevious, previous.value);
  put(previous, Field::kPoolNext, next.value);
}

void PymallocImage::link_first(RemoteAddr pool, std::uint32_t size_class) {
  const RemoteAddr first{get(head(size_class), Field::kPoolNext)};
  put(pool, Field::kPoolNext, first.value);
  put(pool, Field::kPoolPrevious, head(size_class).value);
  put(first, Field::kPoolPrevious, pool.value);
  put(head(size_class), Field::kPoolNext, pool.value);
}

RemoteAddr PymallocImage::take_pool() {
  for (std::size_t i = 0; i < arenas_.size(); ++i) {
    const RemoteAddr entry = arena_entry(i);
    const std::uint64_t free = get(entry, Field::kArenaFreePools);
    if (free == 0 || get(entry, Field::kArenaPrevious) != 0) continue;
    RemoteAddr pool{get(entry, Field::kArenaPoolList)};
    if (pool) {
      put(entry, Field::kArenaPoolList, get(pool, Field::kPoolNext));
    } else {
      pool = {get(entry, Field::kArenaPoolAddress)};
      put(entry, Field::kArenaPoolAddress, pool.value + pool_bytes_);
      put(pool, Field::kPoolSizeIndex, 0xffff);
      put(pool, Field::kPoolArenaIndex, i + 1);
    }
    put(entry, Field::kArenaFreePools, free - 1);
    order_arenas();
    return pool;
  }
  return {};
}

RemoteAddr PymallocImage::take_from_new_pool(std::uint32_t size_class) {
  const RemoteAddr pool = take_pool();
  if (!pool) return {};
  link_first(pool, size_class);
  put(pool, Field::kPoolRefCount, 1);
  const std::uint64_t size = size_of(size_class);
  if (get(pool, Field::kPoolSizeIndex) == size_class) {
    const RemoteAddr block{get(pool, Field::kPoolFreeBlock)};
    put(pool, Field::kPoolFreeBlock, *read<std::uint64_t>(process_.memory(), block));
    return block;
  }
  put(pool, Field::kPoolSizeIndex, size_class);
  put(pool, Field::kPoolMaxNextOffset, pool_bytes_ - size);
  put(pool, Field::kPoolNextOffset, header_bytes_ + 2 * size);
  put(pool, Field::kPoolFreeBlock, pool.value + header_bytes_ + size);
  process_.memory().write(pool + header_bytes_ + size, std::uint64_t{0});
  return pool + header_bytes_;
}

RemoteAddr PymallocImage::take(std::uint32_t size_class) {
  ++used_[size_class];
  const RemoteAddr pool{get(head(size_class), Field::kPoolNext)};
  if (pool == head(size_class)) return take_from_new_pool(size_class);
  put(pool, Field::kPoolRefCount, get(pool, Field::kPoolRefCount) + 1);
  const RemoteAddr block{get(pool, Field::kPoolFreeBlock)};
  const std::uint64_t after = *read<std::uint64_t>(process_.memory(), block);
  put(pool, Field::kPoolFreeBlock, after);
  if (after != 0) return block;
  const std::uint64_t next_offset = get(pool, Field::kPoolNextOffset);
  if (next_offset <= get(pool, Field::kPoolMaxNextOffset)) {
    put(pool, Field::kPoolFreeBlock, pool.value + next_offset);
    put(pool, Field::kPoolNextOffset, next_offset + size_of(size_class));
    process_.memory().write(pool + next_offset, std::uint64_t{0});
  } else {
    unlink(pool);  // full
  }
  return block;
}

void PymallocImage::give_back(RemoteAddr block) {
  const RemoteAddr pool{block.value & ~(pool_bytes_ - 1)};
  const auto size_class = static_cast<std::uint32_t>(get(pool, Field::kPoolSizeIndex));
  --used_.at(size_class);
  const std::uint64_t last = get(pool, Field::kPoolFreeBlock);
  process_.memory().write(block, last);
  put(pool, Field::kPoolFreeBlock, block.value);
  const std::uint64_t left = get(pool, Field::kPoolRefCount) - 1;
  put(pool, Field::kPoolRefCount, left);
  if (last == 0) return link_first(pool, size_class);  // it was full
  if (left > 0) return;
  unlink(pool);
  const RemoteAddr entry = arena_entry(arena_of(pool));
  put(pool, Field::kPoolNext, get(entry, Field::kArenaPoolList));
  put(entry, Field::kArenaPoolList, pool.value);
  put(entry, Field::kArenaFreePools, get(entry, Field::kArenaFreePools) + 1);
  order_arenas();
}

}  // namespace memspy::testing
