#include "sampler/live/live_passes.h"

#include <algorithm>
#include <cmath>

namespace memspy::sampler {
namespace {

constexpr double kSure = 3;              // standard errors
constexpr double kMostExplained = 0.5;   // of what came, where it is called untold
constexpr std::size_t kLeastStrata = 3;  // to know what is usual
constexpr std::size_t kShared = 32;      // blocks, at least, among which growth is shared out
constexpr int kSteps = 60;               // of a bisection

struct Told {
  double bytes = 0, error = 0;
};

Told told_by(std::span<const StandIn> blocks) {
  Told told;
  double squares = 0;
  for (const StandIn& block : blocks)
    told.bytes += block.bytes, squares += block.bytes * block.bytes;
  told.error = std::sqrt(squares);
  return told;
}

double median(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

// What was given back is what has fewest blocks left for what came: the strata of the most growth
// for a block that is there are cut down to one measure, so that `growth` is left of all.
void take_out_what_was_given_back(std::vector<Stratum>& strata, const std::vector<Told>& told,
                                  double growth) {
  const auto left_at = [&](double measure, std::size_t i) {
    return std::min(strata[i].growth, measure * told[i].bytes);
  };
  double low = 0, high = 0;
  for (std::size_t i = 0; i < strata.size(); ++i)
    if (told[i].bytes > 0) high = std::max(high, strata[i].growth / told[i].bytes);
  for (int step = 0; step < kSteps; ++step) {
    const double middle = (low + high) / 2;
    double left = 0;
    for (std::size_t i = 0; i < strata.size(); ++i) left += left_at(middle, i);
    (left < growth ? low : high) = middle;
  }
  for (std::size_t i = 0; i < strata.size(); ++i) strata[i].growth = left_at(high, i);
}

// What its blocks stand for is out of all proportion to what came: it is of others.
void leave_out_what_is_untold(std::vector<Stratum>& strata, const std::vector<Told>& told) {
  std::vector<double> scales;
  for (std::size_t i = 0; i < strata.size(); ++i)
    if (strata[i].growth > 0 && told[i].bytes > 0)
      scales.push_back(strata[i].growth / told[i].bytes);
  if (scales.size() < kLeastStrata) return;
  const double scale = median(std::move(scales));
  for (std::size_t i = 0; i < strata.size(); ++i) {
    const double explained = scale * told[i].bytes, excess = strata[i].growth - explained;
    if (excess > kSure * scale * told[i].error && excess > kMostExplained * strata[i].growth)
      strata[i].growth = explained;
  }
}

// Shares of few blocks lean away from who has few that stand for many.
std::vector<Stratum> merged(std::span<const Stratum> strata) {
  std::vector<Stratum> merged;
  for (const Stratum& stratum : strata) {
    const bool full = merged.empty() || merged.back().end - merged.back().begin >= kShared;
    if (full && !(merged.size() > 0 && strata.back().end - stratum.begin < kShared)) {
      merged.push_back(stratum);
      continue;
    }
    merged.back().end = stratum.end;
    merged.back().growth += stratum.growth;
  }
  return merged;
}

}  // namespace

void LivePasses::note(SteadyTime time, const cpython::ClassBytes& growth) {
  if (passes_.size() >= kMaxPasses) {
    std::size_t left = 0;
    for (std::size_t i = 0; i < passes_.size(); i += 2) passes_[left++] = passes_[i];
    passes_.resize(left);
  }
  passes_.push_back({time, growth});
}

std::vector<Stratum> LivePasses::cut(std::uint32_t size_class,
                                     std::span<const StandIn> blocks) const {
  std::vector<Stratum> strata{{}};
  std::size_t at = 0;
  for (std::size_t i = 1; i < passes_.size(); ++i) {
    const bool last = i + 1 == passes_.size();
    while (at < blocks.size() && (last || blocks[at].taken < passes_[i].time)) ++at;
    const std::int64_t grown = passes_[i].growth[size_class] - passes_[i - 1].growth[size_class];
    strata.back().growth += static_cast<double>(std::max<std::int64_t>(grown, 0));
    strata.back().end = at;
    if (!last && at - strata.back().begin >= kLeastBlocks) strata.push_back({at, at, 0});
  }
  // Too few at the end go with those before.
  if (strata.size() > 1 && strata.back().end - strata.back().begin < kLeastBlocks) {
    Stratum& before = strata[strata.size() - 2];
    before.end = strata.back().end;
    before.growth += strata.back().growth;
    strata.pop_back();
  }
  return strata;
}

std::vector<Stratum> LivePasses::strata(std::uint32_t size_class, double growth,
                                        std::span<const StandIn> blocks) const {
  if (passes_.size() < 2) return {{0, blocks.size(), growth}};
  std::vector<Stratum> strata = cut(size_class, blocks);
  if (strata.size() == 1) return {{0, blocks.size(), growth}};
  std::vector<Told> told;
  for (const Stratum& stratum : strata)
    told.push_back(told_by(blocks.subspan(stratum.begin, stratum.end - stratum.begin)));
  take_out_what_was_given_back(strata, told, growth);
  leave_out_what_is_untold(strata, told);
  return merged(strata);
}

}  // namespace memspy::sampler
