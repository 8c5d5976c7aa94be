// diff over recordings: texts, conditions, and what does not compare.
#include <gtest/gtest.h>

#include "cli/condition.h"
#include "cli/diff_condition.h"
#include "cli/json_text.h"
#include "recording/recording.h"
#include "support/result_matchers.h"
#include "support/sample_run.h"
#include "support/temp_dir.h"
#include "unit/cli/fake_env.h"

namespace memspy::cli {
namespace {

using memspy::testing::FakeWorld;
using memspy::testing::HasErrc;
using memspy::testing::IsOk;
using ::testing::HasSubstr;

// Two recordings of the same run.
class Diff : public ::testing::Test {
 protected:
  Diff() : a(dir.file("a.memspy")), b(dir.file("b.memspy")) {
    for (const std::string& path : {a, b}) EXPECT_EQ(world.run({"record", "4242", "-o", path}), 0);
  }
  FakeWorld world;
  memspy::testing::TempDir dir;
  std::string a, b;
};

TEST_F(Diff, compares_two_recordings) {
  EXPECT_EQ(world.run({"diff", a, b}), 0) << world.err();
  EXPECT_THAT(world.out(), HasSubstr("load"));
  EXPECT_EQ(world.run({"diff", a, b, "--json"}), 0);
  EXPECT_EQ(Json::parse(world.out())["schema"], "memspy.diff/1");
  EXPECT_EQ(world.run({"diff", a, "/etc/passwd"}), 2);
}

// Both runs are the same: 5 MiB more is not less than nothing.
TEST_F(Diff, fails_on_a_condition_that_is_met) {
  EXPECT_EQ(world.run({"diff", a, b, "--fail-on", "growth>5MiB"}), 0) << world.err();
  EXPECT_EQ(world.run({"diff", a, b, "--fail-on", "growth>=0"}), 8);
  EXPECT_THAT(world.err(), HasSubstr("--fail-on growth>=0 was met: 0 B"));
  EXPECT_EQ(world.run({"diff", a, b, "--fail-on", "rss>1MiB", "--json"}), 8);
  const Json document = Json::parse(world.out());
  EXPECT_EQ(document["fail_on"]["condition"], "rss>1MiB");
  EXPECT_EQ(document["fail_on"]["met"], true);
  EXPECT_EQ(world.run({"diff", a, b, "--fail-on", "heap.objects>5"}), 2);
  EXPECT_THAT(world.err(), HasSubstr("snapshots do"));
  EXPECT_EQ(world.run({"diff", a, b, "--fail-on", "speed>5"}), 2);
}

TEST(DiffCondition, a_condition_is_asked_of_the_last_against_the_first) {
  report::Diff diff;
  diff.recordings.resize(3);
  report::RunFigures& first = diff.recordings.front().figures;
  report::RunFigures& last = diff.recordings.back().figures;
  first.duration = std::chrono::minutes(1), last.duration = std::chrono::minutes(4);
  first.growth_bytes = 10 << 20, last.growth_bytes = 31 << 20;
  const Compared compared = memspy::cli::compared(diff);
  EXPECT_TRUE(ask(*parse_condition("growth>20MiB"), compared)->met);
  EXPECT_FALSE(ask(*parse_condition("growth>21MiB"), compared)->met);
  // 7.75 MiB a minute after 10: it runs longer and grows slower.
  EXPECT_EQ(ask(*parse_condition("growth>0/min"), compared)->value, -2.25 * (1 << 20));
  EXPECT_THAT(ask(*parse_condition("rss>1GiB"), compared), HasErrc(Errc::kUsage));
  last.duration = std::chrono::seconds(2);
  EXPECT_THAT(ask(*parse_condition("growth>0/min"), memspy::cli::compared(diff)),
              HasErrc(Errc::kUsage));
}

TEST(DiffCondition, a_condition_of_time_is_asked_of_time_alone) {
  report::Diff diff;
  diff.measure = recording::Measure::kMicroseconds;
  diff.recordings.resize(2);
  report::RunFigures& first = diff.recordings.front().figures;
  report::RunFigures& last = diff.recordings.back().figures;
  first.user_cpu = std::chrono::seconds(10), first.allocating = std::chrono::seconds(2);
  last.user_cpu = std::chrono::seconds(40), last.allocating = std::chrono::seconds(10);
  first.ticks = last.ticks = 1000;
  const auto asked = [&](const char* text) {
    return ask(*parse_condition(text, ConditionUse::kComparison), compared(diff));
  };
  EXPECT_DOUBLE_EQ(asked("allocating>20%")->value, 0.25);
  EXPECT_TRUE(asked("allocating>20%")->met);
  EXPECT_FALSE(asked("allocating>25%")->met);
  EXPECT_TRUE(asked("allocating.change>4.9%")->met);
  EXPECT_FALSE(asked("allocating.change>6%")->met);
  const auto growth = asked("growth>1MiB");
  ASSERT_THAT(growth, HasErrc(Errc::kUsage));
  EXPECT_THAT(growth.error().why, HasSubstr("tell time, and nothing of growth"));
  last.ticks = 40;  // what they say is chance
  EXPECT_THAT(asked("allocating>20%"), HasErrc(Errc::kUsage));
  diff.measure = recording::Measure::kBytes;
  EXPECT_THAT(asked("allocating>20%").error().why, HasSubstr("mode alloc alone"));
}

// Two recordings of which one tells bytes and one time.
TEST_F(Diff, refuses_recordings_of_two_modes_and_names_both) {
  const std::string alloc = dir.file("alloc.memspy");
  auto writer = recording::Writer::create(alloc);
  ASSERT_THAT(writer, IsOk());
  ASSERT_THAT(memspy::testing::tell_alloc_run(**writer), IsOk());
  writer->reset();
  for (const auto& files : {std::pair(a, alloc), std::pair(alloc, a)}) {
    EXPECT_EQ(world.run({"diff", files.first, files.second}), 2);
    EXPECT_THAT(world.err(), HasSubstr("of mode growth"));
    EXPECT_THAT(world.err(), HasSubstr("of mode alloc"));
    EXPECT_THAT(world.err(), HasSubstr("cannot be compared"));
  }
  EXPECT_EQ(world.run({"diff", alloc, alloc, "--fail-on", "allocating>5%"}), 8) << world.err();
  EXPECT_THAT(world.err(), HasSubstr("was met: 10.3 % of the CPU time"));
  EXPECT_EQ(world.run({"diff", alloc, alloc, "--fail-on", "allocating.change>0%"}), 0);
  EXPECT_EQ(world.run({"diff", alloc, alloc, "--fail-on", "growth>1MiB"}), 2);
}

}  // namespace
}  // namespace memspy::cli
