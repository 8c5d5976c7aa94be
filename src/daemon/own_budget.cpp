#include "daemon/own_budget.h"

#include <algorithm>

#include <spdlog/fmt/fmt.h>

#include "base/byte_units.h"
#include "base/duration.h"

namespace memspy::daemon {
namespace {

using namespace std::chrono_literals;

constexpr auto kWindow = 10s;
constexpr unsigned kLevels = 4;   // the interval becomes 16 times as long at most
constexpr double kComfort = 0.6;  // of the budget: below it there is room again

}  // namespace

void OwnBudget::explain(double percent, std::uint64_t memory_bytes) {
  thrift_.clear();
  if (level_ == 0 && !limit_) return;
  thrift_ =
      fmt::format("own CPU {:.1f} % of {:g} %, memory {} of {}:", percent, config_.cpu_percent,
                  format_bytes(memory_bytes), format_bytes(config_.memory_bytes));
  if (level_ > 0) thrift_ += fmt::format(" the interval is {} times as long", interval_factor());
  if (limit_) thrift_ += fmt::format("{} at most {} tracers", level_ > 0 ? "," : "", *limit_);
}

bool OwnBudget::update(SteadyTime now, const OwnCost& cost) {
  if (!begin_) {
    begin_ = now;
    before_ = cost;
    return false;
  }
  const auto elapsed = now - *begin_;
  if (elapsed < kWindow) return false;
  const auto percent_of = [&](double seconds) { return 100 * seconds / to_seconds(elapsed); };
  const double daemon = percent_of(cost.daemon_cpu_seconds - before_.daemon_cpu_seconds);
  const double traced = percent_of(cost.tracers_cpu_seconds - before_.tracers_cpu_seconds);
  const double percent = daemon + traced;
  begin_ = now;
  before_ = cost;
  const auto lowered = std::pair(level_, limit_);
  const bool dear = percent > config_.cpu_percent;
  const bool large = cost.memory_bytes > config_.memory_bytes;
  const bool room =
      percent < kComfort * config_.cpu_percent &&
      static_cast<double>(cost.memory_bytes) < kComfort * static_cast<double>(config_.memory_bytes);
  // Whoever costs it pays: fewer tracers where they are dear, longer intervals where looking is.
  if (large && cost.tracers > 0) {
    limit_ = cost.tracers - 1;
  } else if (dear && cost.tracers > 0 && traced > daemon) {
    // One stays: its own budget holds it, and without any nobody would know who grows.
    limit_ = std::max(cost.tracers / 2, 1U);
    if (cost.tracers == 1) level_ = std::min(level_ + 1, kLevels);
  } else if (dear) {
    level_ = std::min(level_ + 1, kLevels);
  } else if (room && level_ > 0) {
    --level_;
  } else if (room && limit_) {
    limit_ = *limit_ + 1;
    if (*limit_ > cost.tracers + 1) limit_.reset();  // nobody was waiting for more
  }
  explain(percent, cost.memory_bytes);
  return lowered != std::pair(level_, limit_);
}

}  // namespace memspy::daemon
