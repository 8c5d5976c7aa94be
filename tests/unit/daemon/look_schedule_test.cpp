#include "daemon/look_schedule.h"

#include <gmock/gmock.h>

namespace memspy::daemon {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

SteadyTime at(std::chrono::milliseconds time) { return SteadyTime(time); }

TEST(LookSchedule, a_new_process_is_looked_at_after_a_moment_and_then_ever_more_seldom) {
  LookSchedule schedule;
  schedule.expect(Pid{7}, at(0ms));
  EXPECT_THAT(schedule.due(at(50ms), 10), IsEmpty());
  EXPECT_THAT(schedule.due(at(100ms), 10), ElementsAre(Pid{7}));
  EXPECT_THAT(schedule.due(at(500ms), 10), IsEmpty());
  EXPECT_THAT(schedule.due(at(600ms), 10), ElementsAre(Pid{7}));
  EXPECT_THAT(schedule.due(at(1500ms), 10), IsEmpty());
  EXPECT_THAT(schedule.due(at(1600ms), 10), ElementsAre(Pid{7}));
}

TEST(LookSchedule, an_exec_brings_the_next_look_forward) {
  LookSchedule schedule;
  schedule.expect(Pid{7}, at(0ms));
  for (auto time = 0ms; time < 60s; time += 100ms) schedule.due(at(time), 10);
  EXPECT_GT(*schedule.next(), at(63s));
  schedule.expect(Pid{7}, at(60s));
  EXPECT_EQ(*schedule.next(), at(60100ms));
}

TEST(LookSchedule, what_is_watched_or_gone_is_not_looked_at) {
  LookSchedule schedule;
  schedule.expect(Pid{7}, at(0ms));
  schedule.expect(Pid{8}, at(0ms));
  schedule.settle(Pid{7});
  schedule.forget(Pid{8});
  EXPECT_THAT(schedule.due(at(1s), 10), IsEmpty());
  EXPECT_EQ(schedule.next(), std::nullopt);
  // An event of a watched process changes nothing; after its end the pid may be another's.
  schedule.expect(Pid{7}, at(1s));
  EXPECT_EQ(schedule.next(), std::nullopt);
  schedule.forget(Pid{7});
  schedule.expect(Pid{7}, at(2s));
  EXPECT_THAT(schedule.due(at(3s), 10), ElementsAre(Pid{7}));
}

TEST(LookSchedule, a_scan_finds_what_came_and_what_went) {
  LookSchedule schedule;
  schedule.scan({Pid{1}, Pid{2}}, at(0ms));
  EXPECT_THAT(schedule.due(at(100ms), 10), ElementsAre(Pid{1}, Pid{2}));
  schedule.settle(Pid{1});
  schedule.scan({Pid{3}}, at(200ms));
  EXPECT_EQ(schedule.size(), 2U);  // the settled one has an owner
  EXPECT_THAT(schedule.due(at(5s), 10), ElementsAre(Pid{3}));
}

TEST(LookSchedule, many_at_once_take_turns) {
  LookSchedule schedule;
  for (int pid = 1; pid <= 5; ++pid) schedule.expect(Pid{pid}, at(0ms));
  EXPECT_EQ(schedule.due(at(1s), 3).size(), 3U);
  EXPECT_EQ(schedule.due(at(1s), 3).size(), 2U);
  EXPECT_THAT(schedule.due(at(1s), 3), IsEmpty());
}

TEST(LookSchedule, new_rules_are_a_reason_to_look_again) {
  LookSchedule schedule;
  schedule.expect(Pid{7}, at(0ms));
  for (auto time = 0ms; time < 60s; time += 100ms) schedule.due(at(time), 10);
  schedule.look_again(at(60s));
  EXPECT_THAT(schedule.due(at(60s), 10), ElementsAre(Pid{7}));
}

}  // namespace
}  // namespace memspy::daemon
