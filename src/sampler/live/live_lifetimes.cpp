#include "sampler/live/live_lifetimes.h"

#include <algorithm>

namespace memspy::sampler {
StayCurve::StayCurve(const std::vector<Life>& there, const std::vector<Life>& gone) {
  struct Entry {
    Life life;
    bool gone = false;
  };
  std::vector<Entry> entries;
  double at_risk = 0;
  for (const Life& life : gone) entries.push_back({life, true}), at_risk += life.weight;
  for (const Life& life : there) entries.push_back({life, false}), at_risk += life.weight;
  std::sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) {
    return a.life.seconds != b.life.seconds ? a.life.seconds < b.life.seconds : a.gone > b.gone;
  });
  double chance = 1;
  for (const Entry& entry : entries) {
    if (entry.gone && at_risk > 0) {
      chance *= std::max(0.0, 1 - entry.life.weight / at_risk);
      steps_.push_back({entry.life.seconds, chance});
    }
    at_risk -= entry.life.weight;
  }
}

double StayCurve::at(double seconds) const {
  const auto behind =
      std::upper_bound(steps_.begin(), steps_.end(), seconds,
                       [](double age, const Step& step) { return age < step.seconds; });
  if (behind == steps_.end()) return 1;  // it is older than any that went
  const double to_age = behind == steps_.begin() ? 1 : std::prev(behind)->chance;
  return to_age > 0 ? steps_.back().chance / to_age : 0;
}

void LiveLifetimes::note(std::uint32_t size_class, StackId stack, Life life) {
  auto& stacks = lives_[size_class];
  if (stacks.size() >= kMaxStacks && !stacks.contains(stack)) return;
  std::vector<Life>& lives = stacks[stack];
  if (lives.size() >= kMaxLives) {
    std::shuffle(lives.begin(), lives.end(), random_);
    lives.resize(kMaxLives / 2);
    for (Life& left : lives) left.weight *= 2;
  }
  lives.push_back(life);
}

const std::vector<Life>& LiveLifetimes::of(std::uint32_t size_class, StackId stack) const {
  static const std::vector<Life> kNone;
  const auto found = lives_[size_class].find(stack);
  return found == lives_[size_class].end() ? kNone : found->second;
}

}  // namespace memspy::sampler
