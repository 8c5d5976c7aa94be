#include "sampler/live/live_odds.h"

#include <algorithm>
#include <cmath>

namespace memspy::sampler {
namespace {

constexpr double kLeastMean = 4, kLeastReach = 16;  // blocks
constexpr double kMostReach = 16384;  // more than this in one round is beyond any list worth a walk
constexpr double kReachMargin = 1.5;  // beyond the farthest block that was seen to be taken
constexpr double kForget = 0.99;      // of the reach, each round
constexpr double kFar = 8;            // reaches, of the draws for bursts
constexpr double kEven = 0.1;         // of the draws is spread over all classes that grow alike

}  // namespace

void LiveOdds::set_growth(std::uint32_t size_class, double blocks, double bytes) {
  growth_[size_class] = std::max(bytes, 0.0);
  mean_[size_class] = std::clamp(std::ceil(blocks), kLeastMean, kMostReach);
  reach_to(size_class, 2 * blocks);
  total_ = 0;
  growing_ = 0;
  for (const double growth : growth_) {
    total_ += growth;
    growing_ += growth > 0 ? 1 : 0;
  }
}

double LiveOdds::class_chance(std::uint32_t size_class) const {
  if (growth_[size_class] <= 0) return 0;
  return (1 - kEven) * growth_[size_class] / total_ + kEven / static_cast<double>(growing_);
}

double LiveOdds::chance(std::uint32_t size_class, std::uint64_t nth) const {
  const double reach = std::floor(reach_[size_class]), far = reach * kFar;
  const auto n = static_cast<double>(nth);
  double chance = 0;
  if (n < mean_[size_class]) chance += 1 / mean_[size_class] / 3;
  if (n < reach) chance += 1 / reach / 3;
  if (n < far) chance += std::log((n + 2) / (n + 1)) / std::log(far + 1) / 3;
  return chance;
}

std::uint64_t LiveOdds::draw_nth(std::uint32_t size_class) {
  const double reach = std::floor(reach_[size_class]), far = reach * kFar;
  std::uniform_real_distribution<double> unit(0, 1);
  const double kind = unit(random_) * 3;
  if (kind < 2) {
    const double even = kind < 1 ? mean_[size_class] : reach;
    return static_cast<std::uint64_t>(std::min(unit(random_) * even, even - 1));
  }
  const double x = std::exp(unit(random_) * std::log(far + 1)) - 1;
  return static_cast<std::uint64_t>(std::clamp(x, 0.0, far - 1));
}

LiveOdds::Draw LiveOdds::draw() {
  Draw draw;
  double at = std::uniform_real_distribution<double>(0, 1)(random_);
  for (std::uint32_t c = 0; c < growth_.size(); ++c) {
    const double chance = class_chance(c);
    if (chance <= 0) continue;
    draw.size_class = c;  // the last of them, should rounding leave a rest
    if (at < chance) break;
    at -= chance;
  }
  draw.nth = draw_nth(draw.size_class);
  draw.weight = 1 / (class_chance(draw.size_class) * chance(draw.size_class, draw.nth));
  return draw;
}

void LiveOdds::reach_to(std::uint32_t size_class, double blocks) {
  reach_[size_class] = std::clamp(std::max(reach_[size_class], blocks), kLeastReach, kMostReach);
}

void LiveOdds::note_taken(std::uint32_t size_class, std::uint64_t nth) {
  reach_to(size_class, kReachMargin * static_cast<double>(nth + 1));
}

void LiveOdds::next_round() {
  for (double& reach : reach_) reach = std::max(kLeastReach, reach * kForget);
}

}  // namespace memspy::sampler
