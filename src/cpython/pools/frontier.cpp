#include "cpython/pools/frontier.h"

#include <algorithm>

#include "cpython/remote_fields.h"

namespace memspy::cpython {
namespace {

constexpr int kMaxHops = 512;            // pools of one list that are looked at
constexpr std::size_t kMaxFilled = 256;  // of a list, between two looks

}  // namespace

void Frontier::set_arenas(const std::vector<Arena>& arenas) {
  arenas_.clear();
  for (const Arena& arena : arenas) {
    arenas_.push_back(arena.entry);
    if (arena.next_in_use) next_arena_ = arena.entry;
  }
}

std::optional<Arena> Frontier::next_at(RemoteAddr entry) const {
  std::vector<std::byte> bytes(layout_.size(Struct::kArena));
  if (!entry || memory_.read_some(entry, bytes) != bytes.size()) return std::nullopt;
  const auto arena = decode_arena(layout_, entry, bytes);
  return arena && arena->next_in_use ? arena : std::nullopt;
}

// The arena that the next pool comes from: as a rule the one that it was.
std::optional<Arena> Frontier::next_arena() {
  if (auto same = next_at(next_arena_)) return same;
  for (const RemoteAddr entry : arenas_) {
    auto other = next_at(entry);
    if (!other) continue;
    next_arena_ = entry;
    return other;
  }
  return std::nullopt;
}

PoolWords Frontier::words_of(RemoteAddr pool) {
  return {memory_, pool, layout_.strategies.pool_bytes, room_};
}

std::vector<std::byte> Frontier::header_bytes(RemoteAddr pool) const {
  std::vector<std::byte> bytes(layout_.size(Struct::kPool));
  if (!is_plausible(pool) || memory_.read_some(pool, bytes) != bytes.size()) bytes.clear();
  return bytes;
}

std::optional<PoolHeader> Frontier::header_at(RemoteAddr pool, std::uint32_t size_class) const {
  const auto header = decode_pool(layout_, pool, header_bytes(pool));
  return header && header->size_class == size_class ? header : std::nullopt;
}

// Brings what is remembered to where the list begins now; false: it is gone over anew. Pools that
// have filled up have left it at the front; one that was full and was given a block back has come
// there.
bool Frontier::begin_list(List& list, RemoteAddr first) {
  for (std::size_t i = list.first; i < std::min(list.links.size(), list.first + kMaxFilled); ++i) {
    if (list.links[i].pool != first) continue;
    list.first = i;
    return true;
  }
  list = {};
  list.behind = first;
  return false;
}

std::optional<FreeBlock> Frontier::find(std::uint32_t size_class, std::uint64_t nth) {
  if (!used_pools_ || size_class >= kSizeClasses) return std::nullopt;
  const RemoteAddr head = used_pools_ + kListStride * size_class;
  const auto first = read_pointer(memory_, layout_, head, Field::kPoolNext);
  if (!first.has_value()) return std::nullopt;
  if (*first == head) return find_in_free_pools(size_class, nth);
  List& list = lists_[size_class];
  const auto lose = [&list] {
    list = {};
    return std::optional<FreeBlock>();
  };
  if (begin_list(list, *first)) {
    // The first pool's room changes with every block that is taken.
    const auto header = header_at(*first, size_class);
    if (!header) return lose();
    list.links[list.first].free = header->blocks - header->used;
    // A pool that had left the list and has come back leads to another one than before.
    const bool more = list.first + 1 < list.links.size();
    if (header->next != (more ? list.links[list.first + 1].pool : list.behind)) {
      list = {};
      list.links.push_back({*first, header->blocks - header->used});
      list.behind = header->next;
    }
  }
  for (std::size_t i = list.first; i < list.first + kMaxHops; ++i) {
    if (i == list.links.size()) {
      if (list.behind == head) return find_in_free_pools(size_class, nth);
      const auto header = header_at(list.behind, size_class);
      if (!header) return lose();
      list.links.push_back({list.behind, header->blocks - header->used});
      list.behind = header->next;
    }
    const Link& link = list.links[i];
    if (nth >= link.free) {
      nth -= link.free;
      continue;
    }
    const auto now = header_at(link.pool, size_class);
    return now ? pick(link.pool, *now, nth) : lose();
  }
  return std::nullopt;
}

// Along the pool's chain, then where it was never cut.
std::optional<FreeBlock> Frontier::pick(RemoteAddr pool, const PoolHeader& header,
                                        std::uint64_t nth) {
  PoolWords words = words_of(pool);
  RemoteAddr at = header.free_block;
  std::uint64_t steps = 0;
  for (; at && steps < header.blocks; ++steps) {
    if (!block_index(layout_, pool, header, at)) return std::nullopt;
    if (steps == nth) return FreeBlock{at, pool, header.size_class, header.block_bytes};
    const auto next = words.at(at);
    if (!next) return std::nullopt;
    at = {*next};
  }
  if (at) return std::nullopt;  // a circle
  const std::uint64_t index = header.reached + (nth - steps);
  if (index >= header.blocks) return std::nullopt;
  return FreeBlock{block_at(layout_, pool, header, static_cast<std::uint32_t>(index)), pool,
                   header.size_class, header.block_bytes};
}

// First those that were given back to the arena, the latest first; then those never cut out of it.
std::optional<FreeBlock> Frontier::find_in_free_pools(std::uint32_t size_class, std::uint64_t nth) {
  const std::uint32_t block_bytes = block_bytes_[size_class];
  const auto next_arena = this->next_arena();
  if (!next_arena || block_bytes == 0) return std::nullopt;
  const std::uint64_t pool_bytes = layout_.strategies.pool_bytes;
  const std::uint64_t room = (pool_bytes - layout_.size(Struct::kPool)) / block_bytes;
  const RemoteAddr end = next_arena->start + next_arena->bytes;
  RemoteAddr pool = next_arena->pool_list;
  for (int hops = 0; pool && hops < kMaxHops; ++hops) {
    if (pool < next_arena->first_pool || pool.value + pool_bytes > end.value) return std::nullopt;
    const auto head = header_bytes(pool);
    if (head.empty()) return std::nullopt;
    if (nth < room)
      return pick(pool, header_of_free_pool(layout_, pool, head, size_class, block_bytes), nth);
    nth -= room;
    const Slot next = layout_.slots[static_cast<std::size_t>(Field::kPoolNext)];
    pool = {load(head, next.offset, next.width).value_or(0)};
  }
  pool = next_arena->uncut + nth / room * pool_bytes;
  if (pool.value + pool_bytes > end.value) return std::nullopt;
  const auto untouched = header_of_free_pool(layout_, pool, {}, size_class, block_bytes);
  return pick(pool, untouched, nth % room);
}

// What is free has a link in its first word; an object has a count there, or the collector's link,
// which may lead into the same pool. Only then does the chain have to tell.
BlockUse Frontier::use_of(const FreeBlock& block) {
  std::vector<std::byte> head(layout_.size(Struct::kPool));
  std::array<std::byte, 8> first{};
  std::array<ReadRequest, 2> requests = {ReadRequest{block.pool, head}, {block.address, first}};
  memory_.read_many(requests);
  if (!requests[0].complete() || !requests[1].complete()) {
    // An arena that has become empty is unmapped; else it is the process that cannot be read.
    return used_pools_ && read<std::uint64_t>(memory_, used_pools_) ? BlockUse::kGone
                                                                    : BlockUse::kUnreadable;
  }
  const auto header = decode_pool(layout_, block.pool, head);
  if (!header || header->size_class != block.size_class) return BlockUse::kGone;
  const auto index = block_index(layout_, block.pool, *header, block.address);
  if (!index) return BlockUse::kGone;
  if (*index >= header->reached) return BlockUse::kFree;
  const RemoteAddr link{load(first, 0, 8).value_or(0)};
  if (link && !block_index(layout_, block.pool, *header, link)) return BlockUse::kUsed;
  return in_chain(block, *header);
}

BlockUse Frontier::in_chain(const FreeBlock& block, const PoolHeader& header) {
  PoolWords words = words_of(block.pool);
  RemoteAddr at = header.free_block;
  for (std::uint32_t steps = 0; at; ++steps) {
    if (at == block.address) return BlockUse::kFree;
    const auto next = words.at(at);
    // Words were read while the chain changed.
    if (!next || steps > header.blocks || !block_index(layout_, block.pool, header, at))
      return BlockUse::kUnreadable;
    at = {*next};
  }
  return BlockUse::kUsed;
}

}  // namespace memspy::cpython
