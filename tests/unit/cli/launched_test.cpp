// What is special of a command that memspy launched itself: that it never was Python is told, with
// what was sampled all the same; and how it is ended.
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <filesystem>

#include "cli/json_text.h"
#include "cli/launched_command.h"
#include "support/result_matchers.h"
#include "unit/cli/fake_env.h"

namespace memspy::cli {
namespace {

using memspy::testing::FakeWorld;
using ::testing::HasSubstr;
using ::testing::Not;
namespace fs = std::filesystem;

class Launched : public ::testing::Test {
 protected:
  Launched() {
    fs::create_directories(folder_);
    world_.script.launched = Pid{4242};
    world_.proc.remove(4242);  // it has ended by itself
  }
  ~Launched() override { fs::remove_all(folder_); }
  int record(std::vector<std::string> options = {}) {
    std::vector<std::string> args{"record", "--force", "-o", out_};
    args.insert(args.end(), options.begin(), options.end());
    args.insert(args.end(), {"--", "sh", "-c", "true"});
    return world_.run(args);
  }

  fs::path folder_ = fs::temp_directory_path() / ("memspy-launched-" + std::to_string(::getpid()));
  std::string out_ = (folder_ / "out.folded").string();
  FakeWorld world_;
};

TEST_F(Launched, a_python_is_what_was_asked_for) {
  EXPECT_EQ(record(), 0) << world_.err();
  EXPECT_THAT(world_.err(), Not(HasSubstr("CPython that memspy knows")));
}

TEST_F(Launched, what_never_was_python_is_exit_5_and_its_profile_is_there) {
  world_.script.becomes = {"/usr/bin/dash", ""};
  EXPECT_EQ(record({"--json"}), 5);
  EXPECT_THAT(world_.err(), HasSubstr("the launched command, PID 4242 (python3), was no CPython"));
  EXPECT_THAT(world_.err(), HasSubstr("why:  no interpreter was found in it in 2"));
  EXPECT_THAT(world_.err(), HasSubstr("what was sampled all the same is in " + out_));
  EXPECT_THAT(world_.err(), HasSubstr("try:  -s, if it starts Python; --rss"));
  EXPECT_TRUE(fs::exists(out_));
  EXPECT_EQ(Json::parse(world_.out())["output"], out_);
}

TEST_F(Launched, one_that_runs_on_is_looked_at_once_more) {
  world_.script.becomes = {"/usr/bin/dash", ""};
  world_.proc.add(4242, {.comm = "sh"});
  world_.proc.add(4243, {.ppid = 4242});
  EXPECT_EQ(record({"--keep-running"}), 5);
  EXPECT_THAT(world_.err(), HasSubstr("is no CPython that memspy knows"));
  // What the fake search says.
  EXPECT_THAT(world_.err(), HasSubstr("no such symbol (stripped)"));
  EXPECT_THAT(world_.err(), HasSubstr("try:  -s, which samples its children too: 4243 (python3"));
  EXPECT_THAT(world_.err(), Not(HasSubstr("was not watched")));
  EXPECT_EQ(record({"--keep-running", "-s"}), 5);
  EXPECT_THAT(world_.err(), HasSubstr("in it, or in what it started,"));
  EXPECT_THAT(world_.err(), Not(HasSubstr("-s, ")));
}

TEST_F(Launched, a_key_that_comes_before_anybody_can_know_is_no_failure) {
  world_.script.becomes = {"/usr/bin/dash", ""};
  world_.script.ended_by = "signal SIGINT";
  world_.proc.add(4242, {.comm = "sh"});
  world_.script.lasts = std::chrono::milliseconds(70);
  EXPECT_EQ(record({"--keep-running"}), 0) << world_.err();
  EXPECT_THAT(world_.err(), HasSubstr("no interpreter was found in the 70.0 ms before"));
  world_.script.lasts = std::chrono::seconds(2);
  EXPECT_EQ(record({"--keep-running"}), 5);
  world_.script.lasts = std::chrono::milliseconds(70);
  world_.proc.remove(4242);
  EXPECT_EQ(record({"--keep-running"}), 5) << "it has ended, and was none";
}

TEST_F(Launched, a_python_that_ended_too_soon_is_exit_6) {
  world_.script.becomes = {"/usr/bin/python3.11", ""};
  EXPECT_EQ(record(), 6);
  EXPECT_THAT(world_.err(), HasSubstr("ended before the first good sample"));
  EXPECT_TRUE(fs::exists(out_));
}

TEST_F(Launched, the_series_alone_asks_for_no_python) {
  world_.script.becomes = {"/usr/bin/dash", ""};
  EXPECT_EQ(record({"--rss"}), 0) << world_.err();
}

TEST_F(Launched, a_condition_that_was_met_has_its_own_code) {
  world_.script.becomes = {"/usr/bin/dash", ""};
  EXPECT_EQ(record({"--fail-on", "rss>120MiB"}), 8);
  EXPECT_THAT(world_.err(), HasSubstr("was no CPython that memspy knows"));
}

TEST_F(Launched, a_process_that_was_there_is_not_judged_so) {
  world_.script.launched.reset();
  world_.script.becomes = {"/usr/bin/dash", ""};
  EXPECT_EQ(world_.run({"record", "4242", "-o", out_}), 0) << world_.err();
}

using Sent = std::vector<std::pair<pid_t, int>>;

// A command with a child in its group, a daemon that has left it, and a stranger.
class Ending : public Launched {
 protected:
  void add_family(pid_t group) {
    world_.proc.add(4242, {.comm = "sh", .pgrp = group});
    world_.proc.add(4243, {.ppid = 4242, .pgrp = group});
    world_.proc.add(4244, {.ppid = 4243, .pgrp = group});
    world_.proc.add(4250, {.comm = "daemon", .ppid = 4242});
    world_.proc.add(5000, {.comm = "tee", .pgrp = 99});
  }
};

TEST_F(Ending, a_group_of_its_own_is_ended_as_one) {
  add_family(4242);
  world_.on_signal = [&](pid_t, int) {
    for (const pid_t pid : {4242, 4243, 4244}) world_.proc.remove(pid);
  };
  EXPECT_EQ(record(), 0) << world_.err();
  EXPECT_EQ(world_.signals, (Sent{{-4242, SIGTERM}}));
  EXPECT_THAT(world_.err(), HasSubstr("to the launched command (PID 4242) and 2 that it started"));
  EXPECT_THAT(world_.err(), Not(HasSubstr("left so")));
}

TEST_F(Ending, in_a_group_that_is_shared_its_descendants_are_ended) {
  add_family(99);
  world_.on_signal = [&](pid_t pid, int) { world_.proc.remove(pid); };
  EXPECT_EQ(record(), 0) << world_.err();
  EXPECT_EQ(world_.signals, (Sent{{4242, SIGTERM}, {4243, SIGTERM}, {4244, SIGTERM}}));
}

TEST_F(Ending, those_who_stay_are_named_and_left) {
  add_family(4242);
  world_.on_signal = [&](pid_t, int) { world_.proc.remove(4242); };
  EXPECT_EQ(record(), 0) << world_.err();
  EXPECT_EQ(world_.signals.size(), 1U);
  EXPECT_THAT(world_.err(), HasSubstr("PID 4243, 4244 still run after 5.0 s; left so"));
}

TEST_F(Ending, who_heard_the_key_at_the_terminal_may_take_its_time) {
  add_family(99);
  int naps = 0;
  const auto sleep = world_.env.sleep;
  world_.env.sleep = [&](std::chrono::nanoseconds time) {
    sleep(time);
    if (++naps == 10)
      for (const pid_t pid : {4242, 4243, 4244}) world_.proc.remove(pid);
  };
  end_launched(Pid{4242}, /*at_terminal=*/true, world_.env);
  EXPECT_TRUE(world_.signals.empty());
  add_family(99);
  naps = -1000;
  world_.on_signal = [&](pid_t pid, int) { world_.proc.remove(pid); };
  end_launched(Pid{4242}, /*at_terminal=*/true, world_.env);
  EXPECT_EQ(world_.signals.size(), 3U);
}

TEST_F(Ending, nobody_is_ended_who_should_go_on) {
  add_family(4242);
  EXPECT_EQ(record({"--keep-running"}), 0);
  world_.proc.remove(4242);  // it has ended by itself: what it left behind is its own
  EXPECT_EQ(record(), 0);
  EXPECT_TRUE(world_.signals.empty());
}

}  // namespace
}  // namespace memspy::cli
