#include "cpython/pools/pool_sweep.h"

#include <algorithm>

#include "cpython/remote_fields.h"

namespace memspy::cpython {
namespace {

constexpr std::uint64_t kMaxPools = 1U << 24;  // of one pass: 64 GiB of pools of 4 KiB
constexpr std::size_t kMaxVotes = 4096;        // different addresses

}  // namespace

std::uint64_t PoolCounts::used_bytes() const {
  std::uint64_t sum = 0;
  for (std::size_t i = 0; i < kSizeClasses; ++i) sum += used[i] * block_bytes[i];
  return sum;
}

void PoolSweep::begin(std::vector<Arena> arenas) {
  arenas_ = std::move(arenas);
  arena_ = 0;
  next_ = arenas_.empty() ? RemoteAddr{} : arenas_.front().first_pool;
  current_ = {};
  votes_.clear();
  under_way_ = true;
}

bool PoolSweep::step(const MemoryReader& memory, std::size_t headers) {
  const std::uint64_t pool_bytes = layout_.strategies.pool_bytes;
  while (headers > 0 && arena_ < arenas_.size()) {
    // Pools from `uncut` on nobody has touched: reading them would map them.
    if (next_.value + pool_bytes > arenas_[arena_].uncut.value || current_.pools > kMaxPools) {
      if (++arena_ < arenas_.size()) next_ = arenas_[arena_].first_pool;
      continue;
    }
    if (batch_.add(next_)) flush(memory);
    next_ = next_ + pool_bytes;
    --headers;
  }
  flush(memory);
  if (arena_ < arenas_.size()) return false;
  if (under_way_) finish();
  return true;
}

void PoolSweep::flush(const MemoryReader& memory) {
  current_.unread += batch_.flush(memory, [&](RemoteAddr, const PoolHeader& header) {
    ++current_.pools;
    current_.used[header.size_class] += header.used;
    current_.block_bytes[header.size_class] = header.block_bytes;
    if (header.full()) return;  // in no list
    vote(header.next, header);
    vote(header.previous, header);
  });
}

// The ends of a list point to where it is headed, which is no pool: it is not aligned like one.
void PoolSweep::vote(RemoteAddr link, const PoolHeader& header) {
  if (!is_plausible(link) || link.value % layout_.strategies.pool_bytes == 0) return;
  const std::uint64_t base = link.value - kListStride * header.size_class;
  if (votes_.size() < kMaxVotes || votes_.contains(base)) ++votes_[base];
}

void PoolSweep::finish() {
  under_way_ = false;
  counts_ = current_;
  const auto more = [](const auto& a, const auto& b) { return a.second < b.second; };
  const auto best = std::max_element(votes_.begin(), votes_.end(), more);
  if (best != votes_.end()) used_pools_ = {best->first};
}

}  // namespace memspy::cpython
