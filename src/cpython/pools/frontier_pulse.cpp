#include "cpython/pools/frontier_pulse.h"

#include "cpython/remote_fields.h"

namespace memspy::cpython {

FrontierPulse::Heads FrontierPulse::read_heads(RemoteAddr used_pools) const {
  Heads heads{};
  const Slot next = layout_.slots[static_cast<std::size_t>(Field::kPoolNext)];
  std::array<std::byte, kListStride * kSizeClasses> lists;
  const std::size_t got = memory_.read_some(used_pools + next.offset, lists);
  for (std::size_t c = 0; c < kSizeClasses; ++c) {
    const auto pool = load(std::span(lists).first(got), c * kListStride, next.width);
    // A list that is empty points to its own head, which is not aligned like a pool.
    if (pool && is_plausible(RemoteAddr{*pool}) && *pool % layout_.strategies.pool_bytes == 0)
      heads[c] = {*pool};
  }
  return heads;
}

FrontierPulse::Blocks FrontierPulse::look(RemoteAddr used_pools) {
  Blocks taken{};
  if (!used_pools) return taken;
  const Heads heads = read_heads(used_pools);
  std::array<First, kSizeClasses> now{};
  std::array<std::int64_t, kSizeClasses> then_used{};  // of those that were first, at this look
  for (std::size_t c = 0; c < kSizeClasses; ++c) {
    if (heads[c]) (void)batch_.add(heads[c]);  // twice as many as there are classes always fit
    if (first_[c].pool && first_[c].pool != heads[c]) (void)batch_.add(first_[c].pool);
  }
  batch_.flush(memory_, [&](RemoteAddr pool, const PoolHeader& header) {
    const std::size_t c = header.size_class;
    if (pool == heads[c]) now[c] = {pool, header.used};
    if (pool == first_[c].pool) then_used[c] = header.used;
  });
  // One that is not of its class any more has no block in use.
  for (std::size_t c = 0; c < kSizeClasses; ++c)
    if (first_[c].pool) taken[c] = then_used[c] - first_[c].used;
  first_ = now;
  return taken;
}

}  // namespace memspy::cpython
