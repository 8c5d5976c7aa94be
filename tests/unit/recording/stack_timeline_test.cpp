#include "recording/stack_timeline.h"

#include <gtest/gtest.h>

#include <map>

#include "recording/shaped_timeline.h"
#include "support/result_matchers.h"
#include "support/sample_run.h"

namespace memspy::recording {
namespace {

using memspy::testing::IsOk;
using std::chrono::milliseconds;
using std::chrono::nanoseconds;
using std::chrono::seconds;

GrowthRecord growth(nanoseconds time, std::uint32_t stack, std::uint64_t touched) {
  GrowthRecord record;
  record.time = time;
  record.process.value = 1;
  record.stack.value = stack;
  record.touched_bytes = touched;
  record.samples = 1;
  return record;
}

std::uint64_t touched(const StackTimeline& timeline) {
  std::uint64_t sum = 0;
  for (const auto& record : timeline.records()) sum += record.amount;
  return sum;
}

TEST(StackTimeline, HasABucketForEachTickHoweverLateItComes) {
  StackTimeline timeline;
  timeline.set_interval(seconds(1));
  for (int tick = 1; tick <= 50; ++tick)
    timeline.add(growth(seconds(tick) + milliseconds(tick * 7 % 400), 1, 4096));
  ASSERT_EQ(timeline.records().size(), 50U);
  for (std::size_t i = 0; i < 50; ++i) EXPECT_EQ(timeline.records()[i].bucket, i);
  EXPECT_EQ(timeline.width(), seconds(1));
}

TEST(StackTimeline, SumsUpWhatOneBucketHasOfOneStack) {
  StackTimeline timeline;
  timeline.add(growth(seconds(1), 1, 10));
  timeline.add(growth(seconds(1), 2, 20));
  timeline.add(growth(seconds(1), 1, 30));
  ASSERT_EQ(timeline.records().size(), 2U);
  EXPECT_EQ(timeline.records()[0].amount, 40U);
  EXPECT_EQ(timeline.records()[0].samples, 2U);
}

TEST(StackTimeline, MakesBucketsLongerWhereThereAreTooManyRecords) {
  StackTimeline timeline(100);
  timeline.set_interval(seconds(1));
  for (int tick = 1; tick <= 1000; ++tick) timeline.add(growth(seconds(tick), 1 + tick % 3, 4096));
  EXPECT_LE(timeline.records().size(), 100U);
  EXPECT_EQ(touched(timeline), 1000U * 4096);
  EXPECT_GT(timeline.width(), seconds(8));
  // In order, and the last bucket holds the last tick.
  const auto& records = timeline.records();
  for (std::size_t i = 1; i < records.size(); ++i)
    EXPECT_LE(records[i - 1].bucket, records[i].bucket);
  EXPECT_EQ(records.back().bucket,
            static_cast<std::uint64_t>(999 / (timeline.width() / seconds(1))));
}

TEST(StackTimeline, KeepsSomeTimeWhereStacksNeverComeAgain) {
  StackTimeline timeline(100);
  timeline.set_interval(seconds(1));
  for (int tick = 1; tick <= 3000; ++tick) timeline.add(growth(seconds(tick), tick, 4096));
  EXPECT_EQ(timeline.records().size(), 3000U);
  EXPECT_GT(timeline.records().back().bucket, 10U);
}

// A run of --rss has nothing else.
TEST(StackTimeline, MakesBucketsLongerWhereThereAreTooManyRests) {
  StackTimeline timeline(100);
  timeline.set_interval(seconds(1));
  for (int tick = 1; tick <= 1000; ++tick)
    timeline.add(UnattributedRecord{seconds(tick), {1U + tick % 3}, 4096});
  EXPECT_LE(timeline.rests().size(), 100U);
  EXPECT_GT(timeline.width(), seconds(8));
  std::int64_t sum = 0;
  for (const auto& rest : timeline.rests()) sum += rest.bytes;
  EXPECT_EQ(sum, 1000 * 4096);
  const auto& rests = timeline.rests();
  for (std::size_t i = 1; i < rests.size(); ++i) EXPECT_LE(rests[i - 1].bucket, rests[i].bucket);
}

TEST(StackTimeline, CountsRecordsAndRestsTogether) {
  StackTimeline timeline(100);
  for (int tick = 1; tick <= 90; ++tick) {
    timeline.add(growth(seconds(tick), 1, 4096));
    timeline.add(UnattributedRecord{seconds(tick), {1}, 1});
  }
  EXPECT_LE(timeline.records().size() + timeline.rests().size(), 100U);
  EXPECT_EQ(touched(timeline), 90U * 4096);
}

// One look per rest would be 10^11 steps here: longer than any test may take.
TEST(StackTimeline, TakesAsManyProcessesAsAFileNames) {
  constexpr std::uint32_t kProcesses = 400'000;
  StackTimeline timeline(100);
  for (const int tick : {1, 2}) {
    for (std::uint32_t process = 1; process <= kProcesses; ++process)
      timeline.add(UnattributedRecord{seconds(tick), {process}, 1});
  }
  EXPECT_EQ(timeline.rests().size(), 2 * kProcesses);  // four for each are allowed
  EXPECT_EQ(timeline.width(), seconds(1));
}

TEST(StackTimeline, KeepsRestsInOrderWhereOneComesLate) {
  StackTimeline timeline;
  timeline.add(UnattributedRecord{seconds(9), {1}, 1});
  timeline.add(UnattributedRecord{seconds(2), {1}, 1});
  ASSERT_EQ(timeline.rests().size(), 1U);
  EXPECT_EQ(timeline.rests()[0].bytes, 2);
}

TEST(StackTimeline, TakesTimesThatMakeNoSense) {
  StackTimeline timeline;
  timeline.set_interval(nanoseconds(-5));
  timeline.add(growth(nanoseconds::max(), 1, 1));
  timeline.add(growth(nanoseconds::min(), 1, 1));
  timeline.add(UnattributedRecord{seconds(3), {1}, INT64_MAX});
  timeline.add(UnattributedRecord{seconds(3), {1}, INT64_MAX});
  EXPECT_EQ(touched(timeline), 2U);
  EXPECT_EQ(timeline.rests().size(), 1U);
  // The longest buckets of all.
  StackTimeline short_one(1);
  short_one.set_interval(std::chrono::hours(24));
  for (std::uint32_t i = 0; i < 9; ++i)
    short_one.add(growth(i == 0 ? nanoseconds(0) : nanoseconds::max() / 9 * i, 1, 1));
  EXPECT_EQ(touched(short_one), 9U);
  EXPECT_GT(short_one.width(), nanoseconds(0));
}

TEST(StackTimeline, HasTimeWithWhatWasSpentElsewhere) {
  StackTimeline timeline;
  timeline.set_interval(seconds(1));
  for (int tick = 1; tick <= 3; ++tick) {
    timeline.add(AllocationRecord{seconds(tick), {1}, {1}, {7}, milliseconds(40), 10});
    timeline.add(AllocationRecord{seconds(tick), {1}, {1}, kNoStack, milliseconds(400), 100});
    timeline.add(AllocationRecord{seconds(tick), {1}, {1}, {7}, milliseconds(-4), 1});  // hostile
  }
  ASSERT_EQ(timeline.records().size(), 6U);
  EXPECT_EQ(timeline.records()[2].bucket, 1U);
  EXPECT_EQ(timeline.records()[2].stack.value, 7U);
  EXPECT_EQ(timeline.records()[2].amount, 40'000'000U);
  EXPECT_EQ(timeline.records()[2].returned, 0U);
  EXPECT_EQ(timeline.records()[2].samples, 11U);
  EXPECT_EQ(timeline.records()[3].stack, kNoStack);
}

// A file may say one thing in its header and hold another: bytes are no nanoseconds.
TEST(StackTimeline, IsOfWhatTheRunMeasures) {
  Profile profile;
  profile.keep_timeline = true;
  profile.header.mode = "alloc";
  ASSERT_THAT(profile.on_growth(growth(seconds(1), 0, 4096)), IsOk());
  ASSERT_THAT(profile.on_unattributed({seconds(1), {1}, 4096}), IsOk());
  EXPECT_TRUE(profile.timeline.records().empty());
  EXPECT_TRUE(profile.timeline.rests().empty());
  const AllocationRecord record{seconds(1), {1}, {1}, kNoStack, milliseconds(4), 1};
  ASSERT_THAT(profile.on_allocation(record), IsOk());
  EXPECT_EQ(profile.timeline.records().size(), 1U);
  profile.header.mode = "growth";
  ASSERT_THAT(profile.on_allocation(record), IsOk());
  EXPECT_EQ(profile.timeline.records()[0].samples, 1U);
}

// Over the whole run: stacks by name, as shape_stacks sums them up.
TEST(ShapedTimeline, SumsToTheShapedStacks) {
  Profile profile;
  profile.keep_timeline = true;
  ASSERT_THAT(memspy::testing::tell_sample_run(profile), IsOk());
  for (const bool apart : {false, true}) {
    StackShape shape;
    shape.processes = shape.threads = apart;
    const ShapedTimeline timeline = shape_timeline(profile, shape);
    std::map<std::uint32_t, std::int64_t> net;
    for (const auto& cell : timeline.cells)
      net[cell.node] += static_cast<std::int64_t>(cell.amount - cell.returned);
    std::map<std::uint32_t, std::int64_t> rests;  // by process
    std::map<std::uint32_t, std::uint32_t> node_of;
    for (const auto& rest : timeline.rests) {
      rests[rest.process] += rest.bytes;
      node_of[rest.process] = rest.node;
    }
    for (const auto& [process, bytes] : rests)
      if (bytes > 0) net[node_of[process]] += bytes;
    std::map<std::string, std::uint64_t> got;
    for (const auto& [node, bytes] : net) {
      if (bytes <= 0) continue;
      std::string text;
      for (std::uint32_t at = node; at != 0; at = timeline.nodes[at].parent)
        text = timeline.frames[timeline.nodes[at].frame].text + ";" + text;
      got[text] += static_cast<std::uint64_t>(bytes);
    }
    const ShapedProfile shaped = shape_stacks(profile, shape);
    std::map<std::string, std::uint64_t> want;
    for (const auto& stack : shaped.stacks) {
      std::string text;
      for (const auto frame : stack.frames) text += shaped.frames[frame].text + ";";
      want[text] += stack.amount;
    }
    EXPECT_EQ(got, want);
  }
}

TEST(ShapedTimeline, OfTimeSumsToTheShapedStacksAndToTheCpuTime) {
  Profile profile;
  profile.keep_timeline = true;
  ASSERT_THAT(memspy::testing::tell_alloc_run(profile), IsOk());
  const ShapedTimeline timeline = shape_timeline(profile, {});
  EXPECT_EQ(timeline.measure, Measure::kMicroseconds);
  EXPECT_TRUE(timeline.rests.empty());
  std::uint64_t allocating = 0, cpu = 0, samples = 0;
  for (const auto& cell : timeline.cells) {
    allocating += cell.amount;
    samples += cell.samples;
    EXPECT_NE(cell.node, 0U) << "what is no allocation is in no stack";
  }
  for (const auto& part : timeline.cpu) cpu += part.nanoseconds;
  EXPECT_EQ(allocating / 1000, shape_stacks(profile, {}).total);
  EXPECT_EQ(samples, profile.allocating().samples);
  ASSERT_EQ(timeline.cpu.size(), 2U);
  EXPECT_EQ(timeline.cpu[1].bucket, 1U);
  const auto all = profile.allocating().time + profile.not_allocating().time;
  EXPECT_EQ(cpu, static_cast<std::uint64_t>(all.count()));
}

}  // namespace
}  // namespace memspy::recording
