// What of mode alloc needs no process: which code allocates, what a stack says, how often to look.
#include <gtest/gtest.h>

#include "base/duration.h"
#include "sampler/alloc/allocator_code.h"
#include "sampler/alloc/tick_budget.h"

namespace memspy::sampler {
namespace {

using namespace std::chrono_literals;

constexpr CodeKind kPython = CodeKind::kPython, kLibrary = CodeKind::kLibrary,
                   kInlined = CodeKind::kInlined;

AllocatorCode some_code() {
  return AllocatorCode({{0x5000, 0x5060, kInlined},
                        {0x1000, 0x1100, kPython},
                        {0x1080, 0x10e0, kInlined},  // inside of the function above
                        {0x9000, 0x9040, kLibrary}},
                       {{0xa000, 0xa100, kLibrary}});
}

TEST(AllocatorCode, FindsWhatAnAddressIsPartOf) {
  const AllocatorCode code = some_code();
  EXPECT_EQ(code.find(0x1000), kPython);
  EXPECT_EQ(code.find(0x1090), kPython);
  EXPECT_EQ(code.find(0x10ff), kPython);
  EXPECT_EQ(code.find(0x1100), std::nullopt);
  EXPECT_EQ(code.find(0xfff), std::nullopt);
  EXPECT_EQ(code.find(0x5030), kInlined);
  EXPECT_EQ(code.find(0x9001), kLibrary);
  EXPECT_EQ(code.find(~0ULL), std::nullopt);
  EXPECT_EQ(code.functions(), 2U);
  EXPECT_EQ(code.inlined_places(), 1U);
}

// A function that has a copy of the fast path calls others too.
TEST(AllocatorCode, ACallerCountsAsAWholeFunctionOnly) {
  const AllocatorCode code = some_code();
  EXPECT_EQ(code.find_caller(0x9001), kLibrary);
  EXPECT_EQ(code.find_caller(0x5030), std::nullopt);
}

TEST(AllocatorCode, AStackWithAReturnAddressInAFunctionMayBeOfAnAllocation) {
  const AllocatorCode code = some_code();
  std::array<std::uint64_t, 4> words = {0x7fff0000, 0x5030, 0x1100, 0};
  EXPECT_TRUE(code.may_call(std::as_bytes(std::span(words))));  // the call was the last instruction
  words[2] = 0x1000;  // no return address: nothing of it was done
  EXPECT_FALSE(code.may_call(std::as_bytes(std::span(words))));
  EXPECT_FALSE(code.may_call({}));
}

TEST(AllocatorCode, RangesAreSortedAndDisjoint) {
  const auto ranges = in_order({{10, 20, kPython},
                                {15, 40, kPython},
                                {5, 12, kInlined},
                                {7, 7, kPython},
                                {10, 20, kPython}});
  ASSERT_EQ(ranges.size(), 3U);
  for (std::size_t i = 1; i < ranges.size(); ++i) EXPECT_LE(ranges[i - 1].end, ranges[i].begin);
  EXPECT_EQ(ranges[0].begin, 5U);
  EXPECT_EQ(ranges[0].end, 10U);
}

TEST(AllocatorCode, WithoutAnyNothingIsFound) {
  const AllocatorCode code({});
  EXPECT_EQ(code.find(0), std::nullopt);
  const std::array<std::uint64_t, 2> words = {0, ~0ULL};
  EXPECT_FALSE(code.may_call(std::as_bytes(std::span(words))));
}

class Judge : public ::testing::Test {
 protected:
  Judge() { python_.loop = {{0x300, 0x400}}; }
  void add(std::uint64_t code, std::uint64_t link) {
    stack_.frames.push_back({code, {true, &python_, link}, 0, 0, unwind::FoundBy::kRows});
  }
  AllocationJudgement judged(unwind::UnwindEnd end = unwind::UnwindEnd::kOutermost) {
    stack_.end = end;
    return judge(some_code(), stack_);
  }
  unwind::CodeModule python_;
  unwind::NativeStack stack_;
};

TEST_F(Judge, AnAllocatorInnermostOrAmongTheCallersAllocates) {
  add(0x5030, 0x10);
  EXPECT_EQ(judged().kind, kInlined);
  stack_.frames.clear();
  add(0x2000, 0x10);
  add(0x9010, 0x20);
  add(0x7000, 0x310);
  EXPECT_EQ(judged().sign, AllocationSign::kAllocating);
  EXPECT_EQ(judged().kind, kLibrary);
}

// free() gives the heap's end back by brk().
TEST_F(Judge, WhatIsCalledByWhatFreesIsNoAllocation) {
  add(0x9010, 0x10);
  add(0x2000, 0x18);
  add(0xa080, 0x20);
  add(0x7000, 0x310);
  EXPECT_EQ(judged().sign, AllocationSign::kElsewhere);
  stack_.frames[2] = stack_.frames[1];
  EXPECT_EQ(judged().sign, AllocationSign::kAllocating);
}

TEST_F(Judge, WhatCalledPythonCodeDoesNotCount) {
  add(0x2000, 0x10);
  add(0x7000, 0x310);  // the evaluation loop
  add(0x9010, 0x20);
  EXPECT_EQ(judged().sign, AllocationSign::kElsewhere);
}

TEST_F(Judge, AStackThatCannotBeFollowedIsUnclassified) {
  EXPECT_EQ(judged().sign, AllocationSign::kUnknown);
  add(0x2000, 0x10);
  EXPECT_EQ(judged(unwind::UnwindEnd::kNoCaller).sign, AllocationSign::kUnknown);
  EXPECT_EQ(judged(unwind::UnwindEnd::kBroken).sign, AllocationSign::kUnknown);
  // The allocator would have been in what was copied.
  EXPECT_EQ(judged(unwind::UnwindEnd::kCopyEnds).sign, AllocationSign::kElsewhere);
  EXPECT_EQ(judged(unwind::UnwindEnd::kOutermost).sign, AllocationSign::kElsewhere);
}

// A process that takes `cpu` of a core, and whose stops last 30 us: ticks a second over the last
// half.
double ticks_per_second(TickBudget& budget, double cpu, std::chrono::nanoseconds time) {
  SteadyTime now{};
  double counted = 0;
  while (now < SteadyTime(time)) {
    const auto period = budget.next_period();
    now += std::chrono::nanoseconds(
        static_cast<std::int64_t>(static_cast<double>(period.count()) / cpu));
    budget.on_stop(now, 30us, period);
    if (now > SteadyTime(time / 2)) counted += 1;
  }
  return counted / (to_seconds(time) / 2);
}

TEST(TickBudget, StopsStayWithinTheirPartWhateverTheProcessTakes) {
  for (const double cpu : {0.1, 1.0, 6.0}) {
    TickBudget budget(5, SteadyTime{});
    // 220 us each, of 2 %.
    EXPECT_NEAR(ticks_per_second(budget, cpu, 20s), 91, 12) << cpu;
  }
}

TEST(TickBudget, ThriftAndASmallerBudgetLeaveAPartOfThat) {
  TickBudget small(1, SteadyTime{}), thrifty(5, SteadyTime{});
  thrifty.set_thrift(0.5);
  EXPECT_NEAR(ticks_per_second(small, 1, 20s), 18, 5);
  EXPECT_NEAR(ticks_per_second(thrifty, 1, 20s), 45, 10);
}

TEST(TickBudget, PeriodsVaryAroundTheirMean) {
  TickBudget budget(5, SteadyTime{});
  const auto mean = budget.period();
  std::chrono::nanoseconds sum{}, least = 1h, most{};
  for (int i = 0; i < 10000; ++i) {
    const auto period = budget.next_period();
    EXPECT_GE(period, mean / 2);
    EXPECT_LE(period, 3 * mean / 2 + 1ns);
    sum += period;
    least = std::min(least, period);
    most = std::max(most, period);
    EXPECT_LE(budget.phase(), mean);
  }
  EXPECT_NEAR(to_seconds(sum / 10000), to_seconds(mean), 0.02 * to_seconds(mean));
  EXPECT_LT(least, 6 * mean / 10);
  EXPECT_GT(most, 14 * mean / 10);
}

TEST(TickBudget, AStopThatWasTooDearMakesThemRarer) {
  TickBudget budget(5, SteadyTime{});
  const auto before = budget.period();
  budget.back_off();
  EXPECT_EQ(budget.period(), 2 * before);
  for (int i = 0; i < 100; ++i) budget.back_off();
  EXPECT_LE(budget.period(), 1s);
}

}  // namespace
}  // namespace memspy::sampler
