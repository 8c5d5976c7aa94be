#include "sampler/cost_watch.h"

#include <gtest/gtest.h>

namespace memspy::sampler {
namespace {

using namespace std::chrono_literals;

// Ticks of a second, each of which costs `own` and `stopped`.
class CostWatchTest : public testing::Test {
 protected:
  int overruns(int seconds, std::chrono::nanoseconds own, std::chrono::nanoseconds stopped,
               std::size_t processes = 1) {
    int found = 0;
    for (int i = 0; i < seconds; ++i) {
      now_ += 1s;
      cost_.own_cpu += own;
      cost_.stopped += stopped;
      last_ = watch_.update(now_, cost_, processes);
      if (last_) seen_ = last_;
      found += last_ ? 1 : 0;
    }
    return found;
  }
  CostWatch watch_{2};
  RunCost cost_;
  SteadyTime now_{};
  std::optional<CostWatch::Overrun> last_, seen_;
};

TEST_F(CostWatchTest, WithinTheBudgetNothingChanges) {
  EXPECT_EQ(overruns(60, 10ms, 8ms), 0);
  EXPECT_EQ(watch_.thrift(), 1);
}

TEST_F(CostWatchTest, WhatAttachingTookIsNotCounted) {
  cost_.own_cpu = 3s;
  EXPECT_EQ(overruns(30, 10ms, 0ms), 0);
}

TEST_F(CostWatchTest, OverTheBudgetIsSaidOnceAndThriftFalls) {
  EXPECT_EQ(overruns(30, 50ms, 10ms), 1);
  // It was not made cheaper by the first step.
  ASSERT_TRUE(seen_.has_value());
  EXPECT_DOUBLE_EQ(seen_->own_cpu_percent, 5);
  EXPECT_DOUBLE_EQ(seen_->stopped_percent, 1);
  EXPECT_DOUBLE_EQ(seen_->allowed_percent, 2);
  EXPECT_NEAR(watch_.thrift(), 1.0 / 3, 0.01);
}

TEST_F(CostWatchTest, ThriftRisesAgainAndTheNextOverrunIsSaidAnew) {
  overruns(30, 50ms, 10ms);
  EXPECT_EQ(overruns(300, 1ms, 1ms), 0);
  EXPECT_EQ(watch_.thrift(), 1);
  EXPECT_EQ(overruns(10, 50ms, 10ms), 1);
}

TEST_F(CostWatchTest, ProcessesThatEndWithinAWindowHaveHadTheirBudget) {
  for (int round = 0; round < 20; ++round) {
    EXPECT_EQ(overruns(4, 100ms, 10ms, 8), 0);
    EXPECT_EQ(overruns(1, 100ms, 10ms, 1), 0);
  }
}

TEST_F(CostWatchTest, ThriftThatDoesNotHelpGoesNoFurther) {
  overruns(120, 100ms, 0ms);  // whatever is done: 10 %
  EXPECT_NEAR(watch_.thrift(), 0.2, 0.01);
}

TEST_F(CostWatchTest, NoBudgetIsAVerySmallOne) {
  CostWatch none(0);
  EXPECT_FALSE(none.update(SteadyTime{}, {}, 1).has_value());
  const auto over = none.update(SteadyTime{} + 6s, {60ms, 0ms}, 1);
  ASSERT_TRUE(over.has_value());
  EXPECT_GT(over->allowed_percent, 0);
  EXPECT_GT(none.thrift(), 0);
}

TEST_F(CostWatchTest, EachProcessHasABudgetOfItsOwn) {
  EXPECT_EQ(overruns(60, 50ms, 10ms, 4), 0);
  EXPECT_EQ(overruns(60, 50ms, 10ms, 2), 1);
}

}  // namespace
}  // namespace memspy::sampler
