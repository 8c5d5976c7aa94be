#include "sampler/live/live_book.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "base/duration.h"

namespace memspy::sampler {
namespace {

struct Sum {
  double weight = 0, squares = 0;
  std::uint32_t blocks = 0;
  std::chrono::nanoseconds youngest = std::chrono::nanoseconds::max();
  std::uint64_t collections = std::numeric_limits<std::uint64_t>::max();
  std::vector<Life> lives;
  std::vector<double> chances;  // of each to stay; empty: all do
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

constexpr double kFewStay = 10;       // blocks, which are believed half of it
constexpr double kMostUnwatched = 3;  // of what was taken, by what the watched blocks stand for

// Which part of what goes is to be taken out. It replaces blocks of the start, of which there were
// so many: of a program that has just begun, none of it. What is left has to be enough to have made
// the class grow (else it is the queues that have become longer), and to be told from more than a
// few blocks. In blocks; `stays` with the sum of its squares.
double part_to_take_out(double goes, double stays, double squares, double growth, double start) {
  if (goes <= 0 || stays <= 0) return 0;
  const double weight = goes + stays;
  const double replaced = start * weight / (goes * (growth + start));
  const double needed = (weight - growth / kMostUnwatched) / goes;
  const double told_from = stays * stays / squares;
  return std::clamp(std::min(replaced, needed), 0.0, 1.0) * told_from / (told_from + kFewStay);
}

// Each block counts by its chance to stay.
void take_out_what_goes(Sums& sums, double growth, double start) {
  double goes = 0, stays = 0, squares = 0;
  for (const auto& [owner, sum] : sums) {
    for (std::size_t i = 0; i < sum.lives.size(); ++i) {
      const double weight = sum.lives[i].weight, chance = sum.chances.empty() ? 1 : sum.chances[i];
      goes += weight * (1 - chance);
      stays += weight * chance;
      squares += weight * chance * weight * chance;
    }
  }
  const double part = part_to_take_out(goes, stays, squares, growth, start);
  for (auto& [owner, sum] : sums) {
    if (sum.chances.empty()) continue;
    sum.weight = sum.squares = 0;
    for (std::size_t i = 0; i < sum.lives.size(); ++i) {
      const double left = sum.lives[i].weight * (1 - part * (1 - sum.chances[i]));
      sum.weight += left;
      sum.squares += left * left;
    }
  }
}

// By the stacks of which blocks have gone.
void find_chances(Sums& sums, const std::map<StackId, std::vector<Life>>& followed,
                  const LiveLifetimes& lifetimes, std::uint32_t size_class) {
  std::map<StackId, StayCurve> curves;
  for (auto& [owner, sum] : sums) {
    if (!owner) continue;
    const std::vector<Life>& gone = lifetimes.of(size_class, owner->stack);
    if (gone.empty()) continue;
    const auto there = followed.find(owner->stack);
    const StayCurve& curve =
        curves
            .try_emplace(owner->stack,
                         there == followed.end() ? std::vector<Life>() : there->second, gone)
            .first->second;
    for (const Life& life : sum.lives) sum.chances.push_back(curve.at(life.seconds));
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

void LiveBook::drop(std::size_t i, SteadyTime now) {
  const LiveBlock& gone = blocks_[i];
  if (gone.owner && gone.followed)
    lifetimes_.note(gone.block.size_class, gone.owner->stack,
                    {to_seconds(now - gone.taken), gone.weight});
  if (i + 1 < blocks_.size()) std::swap(blocks_[i], blocks_.back());
  blocks_.pop_back();
}

// Those of an interpreter that has ended are not taken back.
void LiveBook::count_collections(std::optional<std::uint64_t> collections) {
  if (!collections) return;
  collections_ = std::max(collections_, *collections);
  for (LiveBlock& block : blocks_)
    if (!block.collections) block.collections = collections_;
}

std::uint64_t LiveBook::survived(const LiveBlock& block) const {
  const std::uint64_t before = block.collections.value_or(collections_);
  return collections_ - std::min(collections_, before);
}

bool LiveBook::is_old_enough(const LiveBlock& block, SteadyTime now) const {
  return now - block.taken >= least_.time && survived(block) >= least_.collections;
}

LiveProfile LiveBook::profile(const LiveChange& change, SteadyTime now) const {
  std::array<Sums, cpython::kSizeClasses> classes;
  std::array<double, cpython::kSizeClasses> block_bytes;
  block_bytes.fill(1);
  std::array<std::map<StackId, std::vector<Life>>, cpython::kSizeClasses> followed;
  for (const LiveBlock& block : blocks_) {
    if (!is_old_enough(block, now)) continue;
    Sum& sum = classes[block.block.size_class][block.owner];
    sum.weight += block.weight;
    sum.squares += block.weight * block.weight;
    sum.youngest = std::min<std::chrono::nanoseconds>(sum.youngest, now - block.taken);
    sum.collections = std::min(sum.collections, survived(block));
    sum.lives.push_back({to_seconds(now - block.taken), block.weight});
    block_bytes[block.block.size_class] = std::max(block.block.block_bytes, 1U);
    if (block.followed && block.owner)
      followed[block.block.size_class][block.owner->stack].push_back(sum.lives.back());
    ++sum.blocks;
  }
  LiveProfile profile;
  std::map<LiveOwner, LiveShare> shares;
  std::uint64_t grown = 0;
  for (std::uint32_t c = 0; c < classes.size(); ++c) {
    const std::int64_t growth = change.growth[c];
    if (growth < 0) profile.shrunk_bytes += static_cast<std::uint64_t>(-growth);
    if (growth <= 0) continue;
    grown += static_cast<std::uint64_t>(growth);
    find_chances(classes[c], followed[c], lifetimes_, c);
    take_out_what_goes(classes[c], static_cast<double>(growth) / block_bytes[c],
                       static_cast<double>(change.start[c]) / block_bytes[c]);
    share_out(classes[c], static_cast<double>(growth), shares);
  }
  for (const auto& [owner, share] : shares) profile.shares.push_back(share);
  profile.unattributed_bytes = grown - std::min(grown, profile.attributed_bytes());
  return profile;
}

}  // namespace memspy::sampler
