#include "sampler/trail_budget.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/duration.h"

namespace memspy::sampler {
namespace {

// Of the target's time: the kernel copies registers and the top of the stack, and what memspy does
// with the record beside it is felt too. Measured on programs that compute on many megabytes
// (docs/accuracy-and-overhead.md).
constexpr double kRecordPrice = 2.5e-6;
constexpr double kShareForRecords = 0.2;  // of the budget
constexpr double kHugePageShare = 3;       // times as many where there are huge pages
constexpr double kSmallestBudget = 1e-3;   // percent
constexpr double kSavings = 1.5;           // seconds
constexpr double kMostDebt = 10;           // times the savings
constexpr double kWindow = 0.1;            // seconds between adjustments
constexpr double kThriftyShare = 0.8;      // of the rate while savings are low: the rest is saved
constexpr double kFall = 0.3;
constexpr std::uint64_t kRaise = 3;  // at a time, in a burst that is over the savings
constexpr double kMaxPeriod = 1U << 16;

}  // namespace

TrailBudget::TrailBudget(double percent, SteadyTime now)
    : planned_rate_(std::max(percent, kSmallestBudget) / 100 * kShareForRecords / kRecordPrice),
      rate_(planned_rate_),
      balance_(rate_ * kSavings),
      window_start_(now) {}

void TrailBudget::set_thrift(double thrift) {
  thrift_ = thrift;
  rate_ = planned_rate_ * thrift;
}

void TrailBudget::expect_huge_pages() {
  if (std::exchange(huge_pages_, true)) return;
  const double before = capacity();
  planned_rate_ *= kHugePageShare;
  set_thrift(thrift_);
  balance_ += capacity() - before;
}

double TrailBudget::capacity() const { return rate_ * kSavings; }

bool TrailBudget::set_period(double wanted) {
  const double clamped = std::clamp(wanted, 1.0, kMaxPeriod);
  const auto period = static_cast<std::uint64_t>(std::round((clamped - 1) / 2)) * 2 + 1;
  const bool changed = period != period_;
  period_ = period;
  return changed;
}

bool TrailBudget::add_faults(std::uint64_t faults) {
  window_faults_ += faults;
  const double records = static_cast<double>(faults) / static_cast<double>(period_);
  balance_ -= records;
  records_since_raise_ += records;
  if (balance_ >= 0) return false;
  balance_ = std::max(balance_, -kMostDebt * capacity());
  // Within a window nobody knows how long the burst will be; the next tick does. Until then each
  // period is given as many records as a whole window may have.
  if (records_since_raise_ < rate_ * kWindow) return false;
  records_since_raise_ = 0;
  return set_period(static_cast<double>(period_ * kRaise));
}

bool TrailBudget::on_tick(SteadyTime now) {
  const double elapsed = to_seconds(now - window_start_);
  if (elapsed < kWindow) return false;
  const double observed = static_cast<double>(window_faults_) / elapsed;
  fault_rate_ = observed > fault_rate_ ? observed : fault_rate_ + kFall * (observed - fault_rate_);
  window_faults_ = 0;
  records_since_raise_ = 0;
  window_start_ = now;
  balance_ = std::min(balance_ + rate_ * elapsed, capacity());
  if (balance_ > capacity() / 2 || (balance_ > 0 && period_ == 1)) return set_period(1);
  return set_period(fault_rate_ / (rate_ * kThriftyShare));
}

}  // namespace memspy::sampler
