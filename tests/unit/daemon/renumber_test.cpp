#include "daemon/renumber.h"

#include <gtest/gtest.h>

#include "recording/profile.h"
#include "recording/shaped.h"
#include "support/result_matchers.h"
#include "support/sample_run.h"

namespace memspy::daemon {
namespace {

using memspy::testing::IsOk;

recording::ShapedProfile shaped(const recording::Profile& profile) {
  return recording::shape_stacks(profile, {});
}

std::vector<std::pair<std::string, std::uint64_t>> rows(const recording::Profile& profile) {
  std::vector<std::pair<std::string, std::uint64_t>> out;
  const auto shape = shaped(profile);
  for (const auto& stack : shape.stacks) {
    std::string text;
    for (const auto frame : stack.frames) text += shape.frames[frame].text + ";";
    out.emplace_back(text, stack.amount);
  }
  return out;
}

TEST(Renumber, a_run_passed_on_is_the_same_run) {
  recording::Profile direct, passed;
  ASSERT_THAT(memspy::testing::tell_sample_run(direct), IsOk());
  Numbering numbers(passed);
  Renumber renumber;
  renumber.direct(&numbers, {});
  ASSERT_THAT(memspy::testing::tell_sample_run(renumber), IsOk());
  EXPECT_EQ(rows(direct), rows(passed));
  EXPECT_EQ(direct.points.size(), passed.points.size());
  EXPECT_EQ(direct.totals().growth_bytes(), passed.totals().growth_bytes());
  EXPECT_EQ(direct.processes.size(), passed.processes.size());
  EXPECT_EQ(direct.gaps.size(), passed.gaps.size());
}

TEST(Renumber, two_runs_become_one_with_their_stacks_added) {
  recording::Profile once, twice;
  Numbering numbers(twice);
  Renumber first, second;
  first.direct(&numbers, {});
  second.direct(&numbers, std::chrono::seconds(100));
  ASSERT_THAT(memspy::testing::tell_sample_run(once), IsOk());
  ASSERT_THAT(memspy::testing::tell_sample_run(first), IsOk());
  ASSERT_THAT(memspy::testing::tell_sample_run(second), IsOk());
  const auto one = rows(once);
  const auto two = rows(twice);
  ASSERT_EQ(one.size(), two.size());
  for (std::size_t i = 0; i < one.size(); ++i) {
    EXPECT_EQ(one[i].first, two[i].first);
    EXPECT_EQ(2 * one[i].second, two[i].second) << one[i].first;
  }
  EXPECT_EQ(twice.processes.size(), once.processes.size());
  EXPECT_EQ(twice.threads.size(), once.threads.size());
  EXPECT_EQ(twice.points.back().time, once.points.back().time + std::chrono::seconds(100));
}

TEST(Renumber, one_process_of_a_run_is_passed_alone) {
  recording::Profile only;
  Numbering numbers(only);
  Renumber renumber(ProcessIdentity{Pid{4250}, 1002});
  renumber.direct(&numbers, {});
  ASSERT_THAT(memspy::testing::tell_sample_run(renumber), IsOk());
  ASSERT_EQ(only.processes.size(), 1U);
  EXPECT_EQ(only.processes[0].identity.pid, Pid{4250});
  for (const auto& point : only.points) EXPECT_EQ(point.process, ProcessIndex{1});
  EXPECT_FALSE(only.points.empty());
}

TEST(Renumber, a_change_of_direction_defines_everything_anew) {
  recording::Profile before, after;
  Numbering one(before), other(after);
  Renumber renumber;
  renumber.direct(&one, {});
  ASSERT_THAT(memspy::testing::tell_unfinished_run(renumber), IsOk());
  renumber.direct(&other, {});
  GrowthRecord growth;
  growth.time = std::chrono::seconds(3);
  growth.process = ProcessIndex{1};
  growth.thread = ThreadIndex{1};
  growth.stack = StackId{2};
  growth.touched_bytes = 4096;
  ASSERT_THAT(renumber.on_growth(growth), IsOk());
  ASSERT_EQ(rows(after).size(), 1U);
  EXPECT_EQ(rows(after)[0].first, "<module> (app.py:40);load (app.py:12);");
  EXPECT_EQ(after.processes.size(), 1U);
  EXPECT_EQ(after.threads.size(), 1U);
}

TEST(Renumber, what_was_never_defined_is_nobody_s) {
  recording::Profile there;
  Numbering numbers(there);
  Renumber renumber;
  renumber.direct(&numbers, {});
  GrowthRecord growth;
  growth.process = ProcessIndex{9};
  growth.thread = ThreadIndex{9};
  growth.stack = StackId{9};
  growth.touched_bytes = 1;
  ASSERT_THAT(renumber.on_growth(growth), IsOk());
  ASSERT_THAT(renumber.on_stack(StackId{5}, {StackId{7}, FrameId{3}}), IsOk());
  growth.stack = StackId{5};
  EXPECT_THAT(renumber.on_growth(growth), IsOk());
}

}  // namespace
}  // namespace memspy::daemon
