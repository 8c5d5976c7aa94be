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

// A stop costs 240 µs in all; of the 2 %, 0.24 are for stops.
TEST(Budget, StopsAtEveryFaultWhileThatIsCheap) {
  SteadyTime now{};
  Budget budget(2, now);
  EXPECT_NEAR(stops_per_second(budget, now, 10, 10s), 10, 1);
  EXPECT_EQ(budget.period(), 1u);
}

TEST(Budget, HoldsStopsInsideTheBudgetForFastGrowth) {
  SteadyTime now{};
  Budget budget(2, now);
  const double stops = stops_per_second(budget, now, 500'000, 5s);
  EXPECT_LT(stops * 220e-6, 0.02);
  EXPECT_GT(stops, 6);
}

TEST(Budget, ThriftLeavesAPartOfWhatWasPlanned) {
  SteadyTime now{};
  Budget planned(2, now), thrifty(2, now);
  const double usual = stops_per_second(planned, now, 100'000, 20s);
  thrifty.set_thrift(0.25);
  const double fewer = stops_per_second(thrifty, now, 100'000, 20s);
  EXPECT_NEAR(fewer / usual, 0.25, 0.1);
}

TEST(Budget, TheTrailHasEveryFaultOfSlowGrowthAndAnOddShareOfFastGrowth) {
  SteadyTime now{};
  Budget budget(2, now);
  EXPECT_EQ(budget.trail_period(), 1u);
  stops_per_second(budget, now, 1500, 2s);
  EXPECT_EQ(budget.trail_period(), 1u);
  stops_per_second(budget, now, 100'000, 2s);
  EXPECT_EQ(budget.trail_period() % 2, 1u);
  EXPECT_NEAR(static_cast<double>(budget.trail_period()), 62, 20);
}

// 1600 records a second, 1.5 seconds of which can be saved.
TEST(TrailBudget, ABurstIsRecordedFaultByFault) {
  SteadyTime now{};
  TrailBudget budget(2, now);
  for (int burst = 0; burst < 10; ++burst) {
    for (int i = 0; i < 5; ++i) {
      budget.add_faults(300);  // 15000 a second, for a tenth
      budget.on_tick(now += 20ms);
      EXPECT_EQ(budget.period(), 1u);
    }
    for (int i = 0; i < 10; ++i) budget.on_tick(now += 100ms);
  }
}

TEST(TrailBudget, WhatGoesOnIsThinnedOut) {
  SteadyTime now{};
  TrailBudget budget(2, now);
  double records = 0;
  for (int i = 0; i < 1000; ++i) {
    budget.add_faults(1000);  // 50000 a second, for 20
    records += 1000.0 / static_cast<double>(budget.period());
    budget.on_tick(now += 20ms);
  }
  EXPECT_LT(records / 20, 2100);
  EXPECT_GT(records / 20, 1100);
}

TEST(TrailBudget, HugePagesAreWorthMoreRecords) {
  SteadyTime now{};
  TrailBudget usual(2, now), huge(2, now);
  huge.expect_huge_pages();
  huge.expect_huge_pages();  // known already
  double records[2] = {};
  for (int i = 0; i < 1000; ++i) {
    now += 20ms;
    for (TrailBudget* budget : {&usual, &huge}) {
      budget->add_faults(1000);
      records[budget == &huge] += 1000.0 / static_cast<double>(budget->period());
      budget->on_tick(now);
    }
  }
  EXPECT_NEAR(records[1] / records[0], 3, 0.8);
}

TEST(TrailBudget, ALongBurstIsThinnedOutBeforeTheWindowEnds) {
  SteadyTime now{};
  TrailBudget budget(2, now);
  for (int i = 0; i < 400; ++i) budget.add_faults(100);
  EXPECT_GT(budget.period(), 1u);
  for (int i = 0; i < 100; ++i) budget.on_tick(now += 100ms);
  EXPECT_EQ(budget.period(), 1u);
}

TEST(Budget, ANewThreadBeginsAnywhereInAPeriod) {
  SteadyTime now{};
  Budget budget(2, now);
  stops_per_second(budget, now, 50'000, 5s);
  const std::uint64_t period = budget.period();
  ASSERT_GT(period, 64u);
  double sum = 0;
  for (int i = 0; i < 2000; ++i) {
    const std::uint64_t phase = budget.phase();
    EXPECT_GE(phase, 1u);
    EXPECT_LE(phase, period);
    sum += static_cast<double>(phase);
  }
  EXPECT_NEAR(sum / 2000 / static_cast<double>(period), 0.5, 0.05);
}

TEST(Budget, EagerStopsComeFromTheSavings) {
  SteadyTime now{};
  Budget budget(2, now);
  stops_per_second(budget, now, 100'000, 5s);
  for (int i = 0; i < 20 && budget.period() < 64; ++i) budget.on_tick(now += 1ms);
  const std::uint64_t usual = budget.period();
  ASSERT_GT(usual, 64u);
  budget.add_faults(10'000'000);
  budget.on_tick(now += 1s);  // a second of savings
  EXPECT_LT(budget.eager_period(), budget.period() / 4);
}

TEST(Budget, NoBudgetIsAVerySmallOne) {
  SteadyTime now{};
  Budget budget(0, now);
  const double stops = stops_per_second(budget, now, 10'000, 20s);
  EXPECT_LT(stops, 1);
  TrailBudget trail(0, now);
  double records = 0;
  for (int i = 0; i < 1200; ++i) {
    trail.add_faults(500);  // 10000 a second, for a minute
    records += 500.0 / static_cast<double>(trail.period());
    trail.on_tick(now += 50ms);
  }
  EXPECT_LT(records / 60, 20);
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
  EXPECT_GT(stops_per_second(two, a, 100'000, 20s), 3 * stops_per_second(half, b, 100'000, 20s));
}

}  // namespace
}  // namespace memspy::sampler
