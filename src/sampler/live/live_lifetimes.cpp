#include "sampler/live/live_lifetimes.h"

#include <algorithm>

namespace memspy::sampler {
namespace {

struct Entry {
  Life life;
  bool gone = false;
  std::size_t index = 0;  // of those that are there
};

}  // namespace

std::vector<double> chances_to_stay(const std::vector<Life>& there, const std::vector<Life>& gone) {
  std::vector<Entry> entries;
  for (const Life& life : gone) entries.push_back({life, true, 0});
  for (std::size_t i = 0; i < there.size(); ++i) entries.push_back({there[i], false, i});
  std::sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) {
    return a.life.seconds != b.life.seconds ? a.life.seconds < b.life.seconds : a.gone > b.gone;
  });
  double at_risk = 0;
  for (const Entry& entry : entries) at_risk += entry.life.weight;
  // First the chance to have come to this age, then that to go on from there.
  std::vector<double> chances(there.size(), 1);
  double chance = 1;
  for (const Entry& entry : entries) {
    if (entry.gone && at_risk > 0) chance *= std::max(0.0, 1 - entry.life.weight / at_risk);
    if (!entry.gone) chances[entry.index] = chance;
    at_risk -= entry.life.weight;
  }
  for (double& to_age : chances) to_age = to_age > 0 ? chance / to_age : 0;
  return chances;
}

void LiveLifetimes::note(std::uint32_t size_class, const LiveOwner& owner, Life life) {
  std::vector<Life>& lives = lives_[size_class][owner];
  if (lives.size() >= kMaxLives) {
    std::shuffle(lives.begin(), lives.end(), random_);
    lives.resize(kMaxLives / 2);
    for (Life& left : lives) left.weight *= 2;
  }
  lives.push_back(life);
}

const std::vector<Life>& LiveLifetimes::of(std::uint32_t size_class, const LiveOwner& owner) const {
  static const std::vector<Life> kNone;
  const auto found = lives_[size_class].find(owner);
  return found == lives_[size_class].end() ? kNone : found->second;
}

}  // namespace memspy::sampler
