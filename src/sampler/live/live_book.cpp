#include "sampler/live/live_book.h"

#include <algorithm>
#include <cmath>
#include <span>
#include <tuple>
#include <utility>

#include "base/duration.h"

namespace memspy::sampler {
namespace {

// Whose block, and whether it is old enough to count. Those that are not have their part of the
// growth, too.
struct Group {
  std::optional<LiveOwner> owner;
  bool counts = true;
  auto operator<=>(const Group&) const = default;
};

struct Taken {
  Group group;
  SteadyTime time{};
  Life life;          // so far, and its weight
  double chance = 1;  // to stay
  std::chrono::nanoseconds age{};
  std::uint64_t collections = 0, round = 0;
};

// Of one size class.
struct ClassBlocks {
  std::vector<Taken> taken;
  std::map<StackId, std::vector<Life>> followed;
  double block_bytes = 1;
};

// Of the weights of blocks, round by round: what was taken within one is mostly of one kind, as
// programs do things in turns, so that a round tells little more than one block of it.
struct Sum {
  double weight = 0;
  double squares = 0;  // of what each round has
  double cross = 0;    // …of it by what the round has of all
};
struct Sums {
  std::map<Group, Sum> groups;
  Sum all;
  double rounds = 0;
};

Sums sum_up(std::span<const Taken> blocks) {
  Sums sums;
  std::map<Group, double> round;
  double whole = 0;
  for (std::size_t i = 0; i < blocks.size(); ++i) {
    round[blocks[i].group] += blocks[i].life.weight;
    whole += blocks[i].life.weight;
    if (i + 1 < blocks.size() && blocks[i + 1].round == blocks[i].round) continue;
    for (const auto& [group, weight] : round) {
      Sum& sum = sums.groups[group];
      sum.weight += weight;
      sum.squares += weight * weight;
      sum.cross += weight * whole;
    }
    sums.all.weight += whole;
    sums.all.squares += whole * whole;
    ++sums.rounds;
    round.clear();
    whole = 0;
  }
  return sums;
}

// The variance of a ratio of weights: what each round adds to the share of its owner, less what it
// adds to the whole.
double variance(const Sum& owner, const Sums& sums, double growth) {
  const double share = owner.weight / sums.all.weight;
  const double sum = owner.squares - 2 * share * owner.cross + share * share * sums.all.squares;
  const double freedom = sums.rounds > 1 ? sums.rounds / (sums.rounds - 1) : 1;
  return growth * growth * std::max(sum, 0.0) * freedom / (sums.all.weight * sums.all.weight);
}

void add_block(LiveShare& share, const Taken& block) {
  const bool first = share.blocks++ == 0;
  share.owner = *block.group.owner;
  share.youngest = first ? block.age : std::min(share.youngest, block.age);
  share.collections = first ? block.collections : std::min(share.collections, block.collections);
}

void share_out(std::span<const Taken> blocks, double growth, std::map<LiveOwner, LiveShare>& out) {
  const Sums sums = sum_up(blocks);
  for (const Taken& block : blocks)
    if (block.group.owner && block.group.counts) add_block(out[*block.group.owner], block);
  if (sums.all.weight <= 0) return;
  for (const auto& [group, sum] : sums.groups) {
    if (!group.owner || !group.counts) continue;
    LiveShare& share = out[*group.owner];
    share.bytes += static_cast<std::uint64_t>(std::floor(growth * sum.weight / sums.all.weight));
    share.variance += variance(sum, sums, growth);
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
void take_out_what_goes(std::vector<Taken>& blocks, double growth, double start) {
  double goes = 0, stays = 0, squares = 0;
  for (const Taken& block : blocks) {
    const double staying = block.life.weight * block.chance;
    goes += block.life.weight - staying;
    stays += staying;
    squares += staying * staying;
  }
  const double part = part_to_take_out(goes, stays, squares, growth, start);
  for (Taken& block : blocks) block.life.weight *= 1 - part * (1 - block.chance);
}

// By the stacks of which blocks have gone.
void find_chances(ClassBlocks& blocks, const LiveLifetimes& lifetimes, std::uint32_t size_class) {
  std::map<StackId, StayCurve> curves;
  for (Taken& block : blocks.taken) {
    if (!block.group.owner) continue;
    const StackId stack = block.group.owner->stack;
    const std::vector<Life>& gone = lifetimes.of(size_class, stack);
    if (gone.empty()) continue;
    const auto known = curves.find(stack);
    const StayCurve& curve =
        known != curves.end()
            ? known->second
            : curves.try_emplace(stack, blocks.followed[stack], gone).first->second;
    block.chance = curve.at(block.life.seconds);
  }
}

// What grew at some time is shared out by the blocks that were taken then.
void share_out_by_time(ClassBlocks& blocks, std::uint32_t size_class, double growth,
                       const LivePasses& passes, std::map<LiveOwner, LiveShare>& out) {
  std::sort(blocks.taken.begin(), blocks.taken.end(), [](const Taken& a, const Taken& b) {
    return std::tie(a.time, a.round) < std::tie(b.time, b.round);
  });
  std::vector<StandIn> stand_ins;
  for (const Taken& block : blocks.taken)
    stand_ins.push_back({block.time, block.life.weight * blocks.block_bytes});
  const std::span<const Taken> all(blocks.taken);
  for (const Stratum& stratum : passes.strata(size_class, growth, stand_ins))
    share_out(all.subspan(stratum.begin, stratum.end - stratum.begin), stratum.growth, out);
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
  std::array<ClassBlocks, cpython::kSizeClasses> classes;
  for (const LiveBlock& block : blocks_) {
    ClassBlocks& blocks = classes[block.block.size_class];
    blocks.block_bytes = std::max(block.block.block_bytes, 1U);
    const Life life{to_seconds(now - block.taken), block.weight};
    if (block.followed && block.owner) blocks.followed[block.owner->stack].push_back(life);
    blocks.taken.push_back({{block.owner, is_old_enough(block, now)},
                            block.taken,
                            life,
                            1,
                            now - block.taken,
                            survived(block),
                            block.round});
  }
  LiveProfile profile;
  std::map<LiveOwner, LiveShare> shares;
  std::uint64_t grown = 0;
  for (std::uint32_t c = 0; c < classes.size(); ++c) {
    if (change.growth[c] < 0) profile.shrunk_bytes += static_cast<std::uint64_t>(-change.growth[c]);
    if (change.growth[c] <= 0) continue;
    grown += static_cast<std::uint64_t>(change.growth[c]);
    const auto growth = static_cast<double>(change.growth[c]);
    ClassBlocks& blocks = classes[c];
    find_chances(blocks, lifetimes_, c);
    take_out_what_goes(blocks.taken, growth / blocks.block_bytes,
                       static_cast<double>(change.start[c]) / blocks.block_bytes);
    share_out_by_time(blocks, c, growth, passes_, shares);
  }
  for (const auto& [owner, share] : shares) profile.shares.push_back(share);
  profile.unattributed_bytes = grown - std::min(grown, profile.attributed_bytes());
  return profile;
}

}  // namespace memspy::sampler
