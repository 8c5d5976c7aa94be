#include "sampler/live/live_book.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace memspy::sampler {
namespace {

struct Sum {
  double weight = 0, squares = 0;
  std::uint32_t blocks = 0;
  std::chrono::nanoseconds youngest = std::chrono::nanoseconds::max();
  std::uint64_t collections = std::numeric_limits<std::uint64_t>::max();
};
using Sums = std::map<std::optional<LiveOwner>, Sum>;

// The variance of a ratio of weights: what each block adds to the share of its owner, less what it
// adds to the whole.
double variance(const Sum& owner, double weight, double squares, double growth) {
  const double share = owner.weight / weight;
  const double sum = owner.squares * (1 - 2 * share) + share * share * squares;
  return growth * growth * std::max(sum, 0.0) / (weight * weight);
}

void share_out(const Sums& sums, double growth, std::map<LiveOwner, LiveShare>& out) {
  double weight = 0, squares = 0;
  for (const auto& [owner, sum] : sums) weight += sum.weight, squares += sum.squares;
  if (weight <= 0) return;
  for (const auto& [owner, sum] : sums) {
    if (!owner) continue;
    LiveShare& share = out.try_emplace(*owner).first->second;
    const bool first = share.blocks == 0;
    share.owner = *owner;
    share.bytes += static_cast<std::uint64_t>(std::floor(growth * sum.weight / weight));
    share.variance += variance(sum, weight, squares, growth);
    share.blocks += sum.blocks;
    share.youngest = first ? sum.youngest : std::min(share.youngest, sum.youngest);
    share.collections = first ? sum.collections : std::min(share.collections, sum.collections);
  }
}

}  // namespace

std::uint64_t LiveProfile::attributed_bytes() const {
  std::uint64_t sum = 0;
  for (const LiveShare& share : shares) sum += share.bytes;
  return sum;
}

void LiveBook::add(LiveBlock block) {
  if (blocks_.size() >= kMaxBlocks) {
    std::shuffle(blocks_.begin(), blocks_.end(), random_);
    blocks_.resize(kMaxBlocks / 2);
    for (LiveBlock& left : blocks_) left.weight *= 2;
  }
  blocks_.push_back(std::move(block));
}

void LiveBook::drop(std::size_t i) {
  if (i + 1 < blocks_.size()) std::swap(blocks_[i], blocks_.back());
  blocks_.pop_back();
}

LiveProfile LiveBook::profile(const std::array<std::int64_t, cpython::kSizeClasses>& growth,
                              const Now& now, const LiveAge& least) const {
  std::array<Sums, cpython::kSizeClasses> classes;
  for (const LiveBlock& block : blocks_) {
    const auto age = now.time - block.taken;
    const std::uint64_t collections =
        now.collections - std::min(now.collections, block.collections);
    if (age < least.time || collections < least.collections) continue;
    Sum& sum = classes[block.block.size_class][block.owner];
    sum.weight += block.weight;
    sum.squares += block.weight * block.weight;
    sum.youngest = std::min<std::chrono::nanoseconds>(sum.youngest, age);
    sum.collections = std::min(sum.collections, collections);
    ++sum.blocks;
  }
  LiveProfile profile;
  std::map<LiveOwner, LiveShare> shares;
  std::uint64_t grown = 0;
  for (std::size_t c = 0; c < classes.size(); ++c) {
    if (growth[c] < 0) profile.shrunk_bytes += static_cast<std::uint64_t>(-growth[c]);
    if (growth[c] <= 0) continue;
    grown += static_cast<std::uint64_t>(growth[c]);
    share_out(classes[c], static_cast<double>(growth[c]), shares);
  }
  for (const auto& [owner, share] : shares) profile.shares.push_back(share);
  profile.unattributed_bytes = grown - std::min(grown, profile.attributed_bytes());
  return profile;
}

}  // namespace memspy::sampler
