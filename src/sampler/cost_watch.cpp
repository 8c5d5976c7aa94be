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
constexpr double kComfort = 0.7;  // of the budget: below it there is room again

}  // namespace

std::optional<CostWatch::Overrun> CostWatch::update(SteadyTime now, const RunCost& cost,
                                                    std::size_t processes) {
  if (!begin_) {  // what it takes to attach is not what sampling costs
    begin_ = now;
    before_ = cost;
    return std::nullopt;
  }
  const auto elapsed = now - *begin_;
  if (elapsed < kWindow) return std::nullopt;
  const auto percent = [&](std::chrono::nanoseconds part) {
    return 100 * to_seconds(part) / to_seconds(elapsed);
  };
  Overrun seen;
  seen.window = elapsed;
  seen.own_cpu_percent = percent(cost.own_cpu - before_.own_cpu);
  seen.stopped_percent = percent(cost.stopped - before_.stopped);
  seen.allowed_percent = percent_ * static_cast<double>(std::max<std::size_t>(processes, 1));
  begin_ = now;
  before_ = cost;
  const double share = (seen.own_cpu_percent + seen.stopped_percent) / seen.allowed_percent;
  const bool was_over = std::exchange(over_, share > 1);
  if (over_) {
    thrift_ = std::max(thrift_ / share, kLeast);
  } else if (share < kComfort) {
    thrift_ = std::min(thrift_ * kRise, 1.0);
  }
  return over_ && !was_over ? std::optional(seen) : std::nullopt;
}

}  // namespace memspy::sampler
