#include "sampler/budget.h"

#include <gtest/gtest.h>

#include "base/duration.h"

namespace memspy::sampler {
namespace {

using namespace std::chrono_literals;

// A target that faults at `rate` for `time`, each stop holding it 20 µs; returns stops per second
// over the last half.
double stops_per_second(Budget& budget, SteadyTime& now, double rate,
                        std::chrono::nanoseconds time) {
  const SteadyTime begin = now;
  const SteadyTime end = begin + time;
  double counted = 0;
  while (now < end) {
    const std::uint64_t period = budget.jittered_period();
    now += std::chrono::nanoseconds(
        static_cast<std::int64_t>(1e9 * static_cast<double>(period) / rate));
    budget.on_stop(now, 20us, period);
    if (now > begin + time / 2) counted += 1;
  }
  return counted / (to_seconds(time) / 2);
}

TEST(Budget, SeesEveryPageOfSlowGrowth) {
  SteadyTime now{};
  Budget budget(2, now);
  EXPECT_NEAR(stops_per_second(budget, now, 100, 10s), 100, 2);
  EXPECT_EQ(budget.period(), 1u);
}

TEST(Budget, HoldsStopsInsideTheBudgetForFastGrowth) {
  SteadyTime now{};
  Budget budget(2, now);
  const double stops = stops_per_second(budget, now, 500'000, 5s);
  EXPECT_LT(stops * 55e-6, 0.02);
  EXPECT_GT(stops, 100);
}

TEST(Budget, ABurstRaisesThePeriodWithinMilliseconds) {
  SteadyTime now{};
  Budget budget(2, now);
  const SteadyTime begin = now;
  while (budget.period() < 64) {
    const std::uint64_t period = budget.jittered_period();
    now += std::chrono::nanoseconds(1600 * period);
    budget.on_stop(now, 20us, period);
    ASSERT_LT(now - begin, 100ms);
  }
}

TEST(Budget, ComesBackToEveryPage) {
  SteadyTime now{};
  Budget budget(2, now);
  stops_per_second(budget, now, 500'000, 2s);
  ASSERT_GT(budget.period(), 100u);
  for (int i = 0; i < 200; ++i) budget.on_tick(now += 50ms);
  EXPECT_EQ(budget.period(), 1u);
}

TEST(Budget, JitterKeepsTheMean) {
  SteadyTime now{};
  Budget budget(2, now);
  stops_per_second(budget, now, 500'000, 2s);
  double sum = 0;
  constexpr int kDraws = 100'000;
  for (int i = 0; i < kDraws; ++i) {
    const std::uint64_t period = budget.jittered_period();
    ASSERT_GE(period, budget.period() / 2);
    ASSERT_LE(period, budget.period() / 2 + budget.period());
    sum += static_cast<double>(period);
  }
  EXPECT_NEAR(sum / kDraws / static_cast<double>(budget.period()), 1, 0.01);
}

TEST(Budget, ASmallerBudgetStopsLess) {
  SteadyTime now{};
  Budget two(2, now), half(0.5, now);
  SteadyTime a = now, b = now;
  EXPECT_GT(stops_per_second(two, a, 500'000, 5s), 3 * stops_per_second(half, b, 500'000, 5s));
}

}  // namespace
}  // namespace memspy::sampler
