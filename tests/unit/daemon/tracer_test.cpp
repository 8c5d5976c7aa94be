#include <gmock/gmock.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>

#include "daemon/child_process.h"
#include "daemon/tracer_process.h"
#include "daemon/tracer_protocol.h"
#include "daemon/tracer_slot.h"
#include "support/result_matchers.h"
#include "unit/daemon/common.h"

namespace memspy::daemon {
namespace {

using namespace std::chrono_literals;
using memspy::testing::HasErrc;
using memspy::testing::IsOk;
using ::testing::HasSubstr;

constexpr int kDeadline = 20000;  // ms

TEST(Protocol, an_order_comes_through_as_it_was_given) {
  TracerOrder order;
  order.target = {Pid{42}, 123456789012345};
  order.folder = "/tmp/\"odd\"\nname";
  order.segment = 90s;
  order.segment_bytes = 12345;
  order.stopped_percent = 0.25;
  const std::string line = order_line(order);
  EXPECT_EQ(line.find('\n'), line.size() - 1);
  const auto there = parse_order(line);
  ASSERT_THAT(there, IsOk());
  EXPECT_EQ(there->target, order.target);
  EXPECT_EQ(there->folder, order.folder);
  EXPECT_EQ(there->segment, order.segment);
  EXPECT_EQ(there->segment_bytes, order.segment_bytes);
  EXPECT_EQ(there->stopped_percent, order.stopped_percent);
  for (const char* bad : {"", "{", "[]", "{\"pid\":0,\"start_ticks\":1,\"folder\":\"x\"}",
                          "{\"pid\":\"7\",\"start_ticks\":1,\"folder\":\"x\"}"})
    EXPECT_THAT(parse_order(bad), HasErrc(Errc::kUsage)) << bad;
}

TEST(Protocol, news_come_through_as_they_were_told) {
  TracerNews news;
  news.kind = TracerNews::Kind::kStatus;
  news.samples = 7;
  news.stopped_seconds = 0.125;
  news.collections[2] = 3;
  news.trouble = "no room";
  const auto there = parse_news(news_line(news));
  ASSERT_THAT(there, IsOk());
  EXPECT_EQ(there->samples, 7);
  EXPECT_EQ(there->rejected, std::nullopt);
  EXPECT_EQ(there->stopped_seconds, 0.125);
  EXPECT_EQ(there->collections[2], 3);
  EXPECT_EQ(there->trouble, "no room");
  EXPECT_THAT(parse_news("{\"event\":\"party\"}"), HasErrc(Errc::kCorrupt));
}

void await(int fd) {
  pollfd ready{fd, POLLIN, 0};
  ASSERT_GT(::poll(&ready, 1, kDeadline), 0);
}

TEST(ChildProcess, speaks_through_pipes_and_tells_its_end) {
  ChildOptions options;
  options.command = {"/bin/sh", "-c", "read line; echo \"$line $GREETING\"; exit 3"};
  options.extra_environment = {"GREETING=there"};
  auto child = ChildProcess::start(options);
  ASSERT_THAT(child, IsOk());
  EXPECT_EQ(child->ended(), std::nullopt);
  EXPECT_EQ(child->write_some("hello\n"), 6U);
  await(child->end_fd());
  std::string said;
  EXPECT_FALSE(child->read_some(said));
  EXPECT_EQ(said, "hello there\n");
  EXPECT_EQ(describe_child_end(*child->ended()), "exit 3");
}

TEST(ChildProcess, does_not_outlive_its_owner) {
  Pid pid;
  {
    ChildOptions options;
    options.command = {"/bin/sleep", "1000"};
    auto child = ChildProcess::start(options);
    ASSERT_THAT(child, IsOk());
    pid = child->pid();
    EXPECT_EQ(::kill(pid.value, 0), 0);
  }
  EXPECT_NE(::kill(pid.value, 0), 0);
}

TEST(ChildProcess, a_program_that_is_not_there_is_an_error) {
  ChildOptions options;
  options.command = {"/nonexistent/program"};
  EXPECT_THAT(ChildProcess::start(options), HasErrc(Errc::kInternal));
}

// A tracer that is a shell script: what the daemon does about it needs no target.
class Slot : public ::testing::Test {
 protected:
  void start(const std::string& script) {
    slot_.want(true, now_);
    ASSERT_TRUE(slot_.ready(now_));
    slot_.start({"/bin/sh", "-c", script}, {}, now_);
  }
  TargetStatus status() const {
    TargetStatus status;
    slot_.describe(status);
    return status;
  }
  // Ticks at one moment of the clock until the slot says so.
  template <typename Condition>
  void tick_until(Condition&& condition) {
    for (int i = 0; i < 2000 && !condition(); ++i) {
      const auto change = slot_.tick(proc_, now_);
      crashes_ += change.crashed ? 1 : 0;
      ::poll(nullptr, 0, 5);
    }
    EXPECT_TRUE(condition());
  }
  SteadyTime now_ = SteadyTime(100s);
  procfs::ProcDir proc_;
  TracerSlot slot_;
  int crashes_ = 0;
};

TEST_F(Slot, a_tracer_tells_how_it_is_and_ends_when_it_is_asked) {
  start(
      "read order; echo '{\"event\":\"started\",\"engine\":\"faults\"}';"
      "echo '{\"event\":\"status\",\"samples\":5}'; cat >/dev/null;"
      "echo '{\"event\":\"ended\",\"message\":\"the daemon\"}'");
  EXPECT_EQ(status().tracer, "starting");
  tick_until([&] { return status().traced.samples == 5; });
  EXPECT_EQ(status().tracer, "tracing");
  EXPECT_EQ(status().engine, "faults");
  slot_.want(false, now_);
  EXPECT_EQ(status().tracer, "ending");
  tick_until([&] { return !slot_.running(); });
  EXPECT_EQ(status().tracer, "idle");
  EXPECT_EQ(status().traced.samples, 5);
  EXPECT_EQ(crashes_, 0);
}

TEST_F(Slot, sums_go_on_with_the_next_tracer) {
  const char* script =
      "echo '{\"event\":\"status\",\"samples\":5,\"heap_used_bytes\":9}';"
      "echo '{\"event\":\"ended\",\"message\":\"x\"}'";
  start(script);
  tick_until([&] { return !slot_.running(); });
  start(script);
  tick_until([&] { return !slot_.running(); });
  EXPECT_EQ(status().traced.samples, 10);
  EXPECT_EQ(status().traced.heap_used_bytes, 9);
}

TEST_F(Slot, a_crash_is_counted_and_the_next_try_waits) {
  start("kill -SEGV $$");
  tick_until([&] { return !slot_.running(); });
  EXPECT_EQ(crashes_, 1);
  EXPECT_EQ(status().tracer, "failed");
  EXPECT_THAT(status().reason, HasSubstr("SIGSEGV"));
  EXPECT_FALSE(slot_.ready(now_));
  EXPECT_TRUE(slot_.ready(now_ + 2s));
  now_ += 2s;
  slot_.start({"/bin/sh", "-c", "kill -SEGV $$"}, {}, now_);
  tick_until([&] { return !slot_.running(); });
  EXPECT_FALSE(slot_.ready(now_ + 2s));  // ever later
  EXPECT_TRUE(slot_.ready(now_ + 4s));
}

TEST_F(Slot, why_a_target_cannot_be_traced_is_said) {
  start("echo '{\"event\":\"refused\",\"message\":\"not Python\"}'; exit 5");
  tick_until([&] { return !slot_.running(); });
  EXPECT_EQ(status().tracer, "failed");
  EXPECT_EQ(status().reason, "not Python");
  EXPECT_EQ(crashes_, 0);
}

TEST_F(Slot, a_tracer_that_does_not_end_is_killed) {
  start("trap '' TERM; echo '{\"event\":\"started\"}'; while :; do sleep 1; done");
  tick_until([&] { return status().tracer == "tracing"; });
  slot_.want(false, now_);
  now_ += 11s;
  tick_until([&] { return !slot_.running(); });
  EXPECT_EQ(status().tracer, "idle");
  EXPECT_EQ(crashes_, 0);
}

}  // namespace
}  // namespace memspy::daemon
