#include "sampler/budget.h"

#include <algorithm>
#include <cmath>

#include "base/duration.h"

namespace memspy::sampler {
namespace {

// A stop costs the target more than the time memspy sees: two context switches, cold caches, and an
// idle core's wake-up. Measured on programs that compute on many megabytes, as the difference of
// wall time for each stop less the time held (docs/accuracy-and-overhead.md).
constexpr double kHiddenStopPrice = 200e-6;
// Of the budget; the rest is for memspy's own work and for bursts.
constexpr double kShareForStops = 0.12;
constexpr double kSmallestBudget = 1e-3;  // percent
constexpr double kSavings = 4;            // seconds of budget that the bucket can hold
constexpr double kWindow = 0.1;           // seconds between adjustments
constexpr std::uint64_t kMaxPeriod = 1U << 16;
// Until the first window tells; the second where there is nothing to spend.
constexpr std::uint64_t kFirstPeriod = 8, kFirstPoorPeriod = 64;

}  // namespace

bool StartSavings::take(SteadyTime now) {
  starts_ = std::min(starts_ + kStartsPerSecond * to_seconds(now - last_), kMostStarts);
  last_ = now;
  if (starts_ < 1) return false;
  starts_ -= 1;
  return true;
}

Budget::Budget(double percent, SteadyTime now, bool savings)
    : planned_rate_(std::max(percent, kSmallestBudget) / 100 * kShareForStops),
      rate_(planned_rate_),
      balance_(savings ? rate_ * kSavings / 2 : 0),
      window_start_(now),
      last_(now),
      period_(savings ? kFirstPeriod : kFirstPoorPeriod),
      trail_(percent, now) {}

void Budget::set_thrift(double thrift) {
  rate_ = planned_rate_ * thrift;
  trail_.set_thrift(thrift);
}

bool Budget::set_period(double wanted) {
  const auto period = static_cast<std::uint64_t>(
      std::clamp(std::ceil(wanted), 1.0, static_cast<double>(kMaxPeriod)));
  // Small changes are not worth an ioctl on every thread.
  if (period == period_ ||
      (period_ > 4 &&
       std::abs(static_cast<double>(period) / static_cast<double>(period_) - 1) < 0.15)) {
    return false;
  }
  period_ = period;
  return true;
}

bool Budget::on_stop(SteadyTime now, std::chrono::nanoseconds held, std::uint64_t faults) {
  const double price = to_seconds(held) + kHiddenStopPrice;
  stop_price_ += 0.02 * (price - stop_price_);
  balance_ -= price;
  const bool thinned = add_faults(faults);
  const bool changed = on_tick(now) || thinned;
  if (balance_ >= 0 || changed) return changed;
  balance_ = 0;
  return set_period(static_cast<double>(period_) * 2);
}

bool Budget::on_tick(SteadyTime now) {
  const bool trail_changed = trail_.on_tick(now);
  return adjust(now) || trail_changed;
}

bool Budget::adjust(SteadyTime now) {
  balance_ = std::min(balance_ + rate_ * to_seconds(now - last_), rate_ * kSavings);
  last_ = now;
  const double elapsed = to_seconds(now - window_start_);
  if (elapsed < kWindow) return false;
  const double observed = static_cast<double>(window_faults_) / elapsed;
  // Rises are believed at once, falls slowly: bursts come again.
  fault_rate_ = observed > fault_rate_ ? observed : fault_rate_ + 0.3 * (observed - fault_rate_);
  window_faults_ = 0;
  window_start_ = now;
  const double affordable = rate_ / stop_price_;  // stops a second
  // A full bucket may be spent on seeing every page of a short burst.
  if (balance_ > 0.5 * rate_ * kSavings && fault_rate_ < 4 * affordable && period_ == 1)
    return false;
  return set_period(fault_rate_ / affordable);
}

std::uint64_t Budget::random() {
  random_ ^= random_ << 13;
  random_ ^= random_ >> 7;
  random_ ^= random_ << 17;
  return random_;
}

std::uint64_t Budget::jittered_period() {
  if (period_ <= 1) return 1;
  return period_ / 2 + random() % (period_ + 1);
}

std::uint64_t Budget::phase() { return 1 + random() % period_; }

std::uint64_t Budget::eager_period() {
  constexpr std::uint64_t kEagerness = 8;
  const std::uint64_t usual = jittered_period();
  return balance_ > 0 ? std::max<std::uint64_t>(usual / kEagerness, 1) : usual;
}

}  // namespace memspy::sampler
