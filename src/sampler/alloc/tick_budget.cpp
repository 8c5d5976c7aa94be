#include "sampler/alloc/tick_budget.h"

#include <algorithm>

#include "base/duration.h"

namespace memspy::sampler {
namespace {

using namespace std::chrono_literals;

// A stop costs the target more than the time memspy sees: memspy has to wake up, then the target
// has to, each on a processor that may sleep, with cold caches (docs/accuracy-and-overhead.md;
// measured in a virtual machine, where 60 us for both made a slowdown of 1.045).
constexpr double kHiddenStopPrice = 190e-6;
// Of the budget; the rest is memspy's own work, some 70 us for each stop.
constexpr double kShareForStops = 0.4;
constexpr double kSmallestRate = 1e-6;
constexpr double kWindow = 0.1;  // seconds between adjustments
constexpr double kNewest = 0.05, kFalling = 0.3;
constexpr std::chrono::nanoseconds kFirst = 4ms, kShortest = 500us, kLongest = 200ms;

std::chrono::nanoseconds from_seconds(double seconds) {
  return std::chrono::nanoseconds(static_cast<std::int64_t>(seconds * 1e9));
}

}  // namespace

TickBudget::TickBudget(double percent, SteadyTime now, std::uint64_t seed)
    : planned_rate_(std::max(percent / 100 * kShareForStops, kSmallestRate)),
      rate_(planned_rate_),
      window_start_(now),
      period_(kFirst),
      random_(0x9e3779b97f4a7c15ULL ^ (seed << 1U | 1U)) {}

void TickBudget::on_stop(SteadyTime now, std::chrono::nanoseconds held,
                         std::chrono::nanoseconds cpu_time) {
  stop_price_ += kNewest * (to_seconds(held) + kHiddenStopPrice - stop_price_);
  window_cpu_ += cpu_time;
  adjust(now);
}

void TickBudget::back_off() { period_ = std::min(2 * period_, kLongest); }

// Rises are believed at once, falls slowly: bursts come again.
void TickBudget::adjust(SteadyTime now) {
  const double elapsed = to_seconds(now - window_start_);
  if (elapsed < kWindow) return;
  const double observed = to_seconds(window_cpu_) / elapsed;
  cpu_rate_ = observed > cpu_rate_ ? observed : cpu_rate_ + kFalling * (observed - cpu_rate_);
  window_cpu_ = {};
  window_start_ = now;
  const double affordable = std::max(rate_, kSmallestRate) / stop_price_;  // stops a second
  const double wanted = std::min(cpu_rate_ / affordable, to_seconds(kLongest));
  period_ = std::clamp<std::chrono::nanoseconds>(from_seconds(wanted), kShortest, kLongest);
}

std::uint64_t TickBudget::random() {
  random_ ^= random_ << 13;
  random_ ^= random_ >> 7;
  random_ ^= random_ << 17;
  return random_;
}

std::chrono::nanoseconds TickBudget::next_period() {
  const auto period = static_cast<std::uint64_t>(period_.count());
  return std::chrono::nanoseconds(static_cast<std::int64_t>(period / 2 + random() % (period + 1)));
}

std::chrono::nanoseconds TickBudget::phase() {
  const auto period = static_cast<std::uint64_t>(period_.count());
  return std::chrono::nanoseconds(static_cast<std::int64_t>(1 + random() % period));
}

}  // namespace memspy::sampler
