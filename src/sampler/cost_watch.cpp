#include "sampler/cost_watch.h"

#include <algorithm>
#include <utility>

#include "base/duration.h"

namespace memspy::sampler {
namespace {

using namespace std::chrono_literals;

constexpr auto kWindow = 5s;
constexpr double kLeast = 1.0 / 64;
constexpr double kRise = 1.25;
constexpr double kComfort = 0.9;          // of the budget: below it there is room again
constexpr double kAim = 0.95;             // of the budget
constexpr double kHelps = 0.9;            // of what was used before thrift fell
constexpr double kSmallestBudget = 1e-3;  // percent

}  // namespace

CostWatch::CostWatch(double percent) : percent_(std::max(percent, kSmallestBudget)) {}

std::optional<CostWatch::Overrun> CostWatch::update(SteadyTime now, const RunCost& cost,
                                                    std::size_t processes) {
  if (!begin_) {  // what it takes to attach is not what sampling costs
    begin_ = last_ = now;
    before_ = cost;
    return std::nullopt;
  }
  allowed_seconds_ += percent_ / 100 * to_seconds(now - *last_) *
                      static_cast<double>(std::max<std::size_t>(processes, 1));
  last_ = now;
  const auto elapsed = now - *begin_;
  if (elapsed < kWindow) return std::nullopt;
  const auto percent = [&](double seconds) { return 100 * seconds / to_seconds(elapsed); };
  Overrun seen;
  seen.window = elapsed;
  seen.own_cpu_percent = percent(to_seconds(cost.own_cpu - before_.own_cpu));
  seen.stopped_percent = percent(to_seconds(cost.stopped - before_.stopped));
  seen.allowed_percent = percent(std::exchange(allowed_seconds_, 0));
  begin_ = now;
  before_ = cost;
  const double share = (seen.own_cpu_percent + seen.stopped_percent) / seen.allowed_percent;
  adjust(share);
  return std::exchange(over_, share > 1) || share <= 1 ? std::nullopt : std::optional(seen);
}

void CostWatch::adjust(double share) {
  if (share > 1 && (lowered_at_ == 0 || share < kHelps * lowered_at_)) {
    thrift_ = std::max(thrift_ / share, kLeast);
    lowered_at_ = share;
  } else if (share < kComfort) {
    thrift_ = std::min(thrift_ * std::min(kRise, kAim / share), 1.0);
    lowered_at_ = 0;
  }
}

}  // namespace memspy::sampler
