#include "recording/profile.h"

#include <gtest/gtest.h>

#include "support/result_matchers.h"
#include "support/sample_run.h"

namespace memspy::recording {
namespace {

using memspy::testing::HasErrc;
using memspy::testing::IsOk;
constexpr std::uint64_t kMiB = 1 << 20;

TEST(Profile, AddsUpToTheSummary) {
  Profile profile;
  ASSERT_THAT(memspy::testing::tell_sample_run(profile), IsOk());
  const auto expected = memspy::testing::sample_summary();
  const auto totals = profile.totals();
  EXPECT_EQ(totals.attributed_bytes, expected.attributed_bytes);
  EXPECT_EQ(totals.unattributed_bytes, expected.unattributed_bytes);
  EXPECT_EQ(totals.shrink_bytes, expected.shrink_bytes);
  EXPECT_EQ(totals.growth_bytes(), expected.growth_bytes);
  EXPECT_EQ(totals.samples, expected.samples);
  EXPECT_EQ(profile.growth.size(), 7u);
  EXPECT_EQ(profile.points.size(), 3u);
  ASSERT_NE(profile.find_process({2}), nullptr);
  EXPECT_EQ(profile.find_process({2})->name, "worker");
  EXPECT_EQ(profile.find_process({3}), nullptr);
  EXPECT_EQ(profile.find_thread({0}), nullptr);
}

// In a window a stack may give back what it touched before: that is shrink, not negative growth.
TEST(Profile, AWindowCountsItsOwnRecordsOnly) {
  Profile profile;
  profile.window.from = std::chrono::seconds(1);
  ASSERT_THAT(memspy::testing::tell_sample_run(profile), IsOk());
  const auto totals = profile.totals();
  EXPECT_EQ(totals.attributed_bytes, 14 * kMiB + kMiB + 5 * kMiB + 4096);
  EXPECT_EQ(totals.unattributed_bytes, 0u);
  EXPECT_EQ(totals.shrink_bytes, 3 * kMiB);
  EXPECT_EQ(profile.points.size(), 3u);  // the one at its start too
  EXPECT_EQ(profile.processes.size(), 2u);
}

TEST(Profile, RefusesIdsThatAreNotDense) {
  Profile profile;
  const Frame frame{"f", "a.py", 1, FrameKind::kPython};
  EXPECT_THAT(profile.on_frame({2}, frame), HasErrc(Errc::kCorrupt));
  EXPECT_THAT(profile.on_stack({1}, {kNoStack, {7}}), HasErrc(Errc::kCorrupt));
  GrowthRecord growth;
  growth.stack.value = 9;
  EXPECT_THAT(profile.on_growth(growth), HasErrc(Errc::kCorrupt));
}

}  // namespace
}  // namespace memspy::recording
