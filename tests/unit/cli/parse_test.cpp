// The command line: verbs, options, configuration files, and what each mistake says.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "cli/arguments.h"
#include "cli/condition.h"
#include "support/result_matchers.h"
#include "unit/cli/fake_env.h"

namespace memspy::cli {
namespace {

using memspy::testing::FakeWorld;
using memspy::testing::HasErrc;
using memspy::testing::IsOk;
using ::testing::HasSubstr;
using namespace std::chrono_literals;

struct Mistake {
  std::vector<std::string> args;
  std::string text;
};

class Mistakes : public ::testing::TestWithParam<Mistake> {};

TEST_P(Mistakes, exit_2_with_a_text) {
  FakeWorld world;
  EXPECT_EQ(world.run(GetParam().args), 2);
  EXPECT_THAT(world.err(), HasSubstr(GetParam().text));
  EXPECT_THAT(world.err(), HasSubstr("memspy: "));
  EXPECT_EQ(world.out(), "");
  EXPECT_EQ(world.script.started, 0);
}

INSTANTIATE_TEST_SUITE_P(
    Usage, Mistakes,
    ::testing::Values(
        Mistake{{"frobnicate"}, "there is no verb \"frobnicate\""},
        Mistake{{"d", "1"}, "could be dump, diff, doctor"},
        Mistake{{"recrod", "1"}, "try:  memspy record"},
        Mistake{{"dump", "-p", "0"}, "\"0\" is not a PID"},
        Mistake{{"dump", "-p", "12x"}, "\"12x\" is not a PID"},
        Mistake{{"dump", "-p", "-5"}, "PID"}, Mistake{{"dump", "0x10"}, "is not a PID"},
        Mistake{{"dump", "1", "2"}, "one process at a time, and here are 1 and 2"},
        Mistake{{"record", "1", "-p", "2"}, "here are 1 and 2"},
        Mistake{{"top", "-b", "-n", "0"}, "\"0\" is not a number from 1 on"},
        Mistake{{"report", "x.memspy", "-n", "-1"}, "\"-1\" is not a number from 0 on"},
        Mistake{{"heap", "1", "--largest", "0"}, "\"0\" is not a number from 1 to 10000"},
        Mistake{{"record", "4242", "-o", "50%.folded"}, "\"%.\" in the output's name"},
        Mistake{{"record", "4242", "-o", "at-%d.memspy"}, "\"%d\" in the output's name"},
        Mistake{{"dump", "4242", "--localz"}, "try:  --locals"},
        Mistake{{"record", "4242", "-i", "5"}, "--interval"},
        Mistake{{"record", "4242", "-i", "1us"}, "less than 1ms"},
        Mistake{{"record", "4242", "-i", "1s", "-r", "5"}, "--interval"},
        Mistake{{"record", "4242", "-r", "0"}, "--rate"},
        Mistake{{"record", "4242", "-d", "soon"}, "--duration"},
        Mistake{{"record", "4242", "-d", "0"}, "not more than nothing"},
        Mistake{{"record", "4242", "--mode", "alloc", "--min-age", "1s"},
                "--min-age is of mode live"},
        Mistake{{"record", "4242", "--mode", "magic"}, "\"magic\" is not a mode"},
        Mistake{{"record", "4242", "--engine", "uprobes"},
                "not one of auto, faults, bpf, poll, rss"},
        Mistake{{"record", "4242", "--engine", "poll", "--rss"}, "--engine"},
        Mistake{{"record", "4242", "--budget", "200"}, "not a percentage"},
        Mistake{{"record", "4242", "--max-pause", "5"}, "--max-pause"},
        Mistake{{"record", "4242", "--assume-layout", "2.7"}, "not a version like 3.13"},
        Mistake{{"record", "4242", "--assume-layout", "3"}, "not a version like 3.13"},
        Mistake{{"record", "4242", "--fail-on", "heap.objects>5"}, "is not rss or growth"},
        Mistake{{"record", "4242", "--when", "rss"}, "no > or <"},
        Mistake{{"record", "4242", "-o", "x.exe"}, "names no format"},
        Mistake{{"record", "4242", "-o", "x.folded", "-f", "flame"}, "no format \"flame\""},
        Mistake{{"record", "4242", "-o", "-", "-f", "recording"}, "cannot go to standard output"},
        Mistake{{"record", "4242", "-o", "x.folded", "--timeseries", "y.folded"},
                "not a time series"},
        Mistake{{"record", "4242", "-o", "-", "--checkpoint", "1s"}, "--checkpoint needs a file"},
        Mistake{{"record", "-p", "1", "--", "true"}, "not both"},
        Mistake{{"record", "--"}, "no command after --"},
        Mistake{{"record", "--when", "rss>1G", "--", "true"}, "--when waits"},
        Mistake{{"record", "4242", "--min-age", "1s"}, "--min-age is of mode live"},
        Mistake{{"attach", "4242", "--min-age", "1s"}, "--min-age is of mode live"},
        Mistake{{"record", "4242", "--min-collections", "2"}, "--min-collections is of mode live"},
        Mistake{{"record", "4242", "--temporary", "-o", "x.folded"}, "--temporary is of mode live"},
        Mistake{{"record", "4242", "--mode", "live", "--temporary", "-o", "x.html"},
                "\"html\" does not show what came and went"},
        Mistake{{"record", "4242", "--mode", "live", "--temporary", "--gross"}, "--gross"},
        Mistake{{"record", "4242", "--mode", "live", "--temporary"},
                "\"recording\" does not show what came and went"},
        Mistake{{"top", "4242", "-b", "--min-collections", "2"},
                "--min-collections is of mode live"},
        Mistake{{"report", "x.memspy", "--peak", "--to", "5"}, "--to"},
        Mistake{{"attach", "4242", "--alert", "cpu > 5"}, "makes no sense"},
        Mistake{{"attach", "4242", "--for", "5m"}, "--daemon"},
        Mistake{{"top", "4242", "-b", "--daemon"}, "not both"},
        Mistake{{"daemon"}, "needs a configuration"}, Mistake{{"daemon", "dance"}, "dance"},
        Mistake{{"top", "4242"}, "top needs a terminal"}, Mistake{{"completions"}, "SHELL"},
        Mistake{{"completions", "tcsh"}, "not bash, zsh or fish"},
        Mistake{{"diff", "a.memspy"}, "FILE"}, Mistake{{"report"}, "FILE"},
        Mistake{{"record", "--config", "/nonexistent.toml"}, "cannot read the configuration"}));

TEST(Parse, without_arguments_prints_the_help_and_exits_2) {
  FakeWorld world;
  EXPECT_EQ(world.run({}), 2);
  EXPECT_THAT(world.err(), HasSubstr("record"));
  EXPECT_EQ(world.out(), "");
}

TEST(Parse, help_and_version_go_to_stdout) {
  FakeWorld world;
  EXPECT_EQ(world.run({"--help"}), 0);
  EXPECT_THAT(world.out(), HasSubstr("doctor"));
  EXPECT_EQ(world.run({"record", "--help"}), 0);
  EXPECT_THAT(world.out(), HasSubstr("--timeseries"));
  EXPECT_EQ(world.run({"--version"}), 0);
  EXPECT_THAT(world.out(), HasSubstr("memspy 0."));
  EXPECT_EQ(world.err(), "");
}

TEST(Parse, later_verbs_are_not_advertised) {
  FakeWorld world;
  world.run({"--help"});
  for (const char* verb : {"leaks", "advise"})
    EXPECT_EQ(world.out().find(verb), std::string::npos) << verb;
}

TEST(Parse, unambiguous_prefixes_are_verbs) {
  const std::vector<std::string> verbs{"attach", "record", "report", "dump", "diff", "doctor"};
  EXPECT_EQ(complete_verb("a", verbs).value_or(""), "attach");
  EXPECT_EQ(complete_verb("rec", verbs).value_or(""), "record");
  EXPECT_EQ(complete_verb("dump", verbs).value_or(""), "dump");
  EXPECT_THAT(complete_verb("re", verbs), HasErrc(Errc::kUsage));
  EXPECT_THAT(complete_verb("", verbs), HasErrc(Errc::kUsage));
  FakeWorld world;
  EXPECT_EQ(world.run({"du", "4242"}), 0);
}

TEST(Parse, options_reach_the_session) {
  FakeWorld world;
  EXPECT_EQ(
      world.run({"-q", "attach", "-p", "4242", "-s", "-r", "20", "-d", "90", "--engine", "poll",
                 "--budget", "1.5%", "--max-pause", "2ms", "--assume-layout", "3.13"}),
      0)
      << world.err();
  const sampler::SessionOptions& asked = world.script.asked;
  EXPECT_EQ(asked.pid, Pid{4242});
  EXPECT_TRUE(asked.subprocesses);
  EXPECT_EQ(asked.interval, 50ms);
  EXPECT_EQ(asked.duration, std::chrono::nanoseconds(90s));
  EXPECT_EQ(asked.engine, sampler::EngineChoice::kPoll);
  EXPECT_DOUBLE_EQ(asked.budget_percent, 1.5);
  EXPECT_EQ(asked.max_pause, std::chrono::nanoseconds(2ms));
  EXPECT_EQ(asked.assume_minor, 13);
  EXPECT_EQ(asked.command_line.front(), "memspy");
}

TEST(Parse, what_follows_two_dashes_is_the_command) {
  FakeWorld world;
  EXPECT_EQ(world.run({"record", "-o", "-", "--", "python3", "-c", "pass", "--", "-p", "7"}), 0)
      << world.err();
  EXPECT_EQ(world.script.asked.launch,
            (std::vector<std::string>{"python3", "-c", "pass", "--", "-p", "7"}));
  EXPECT_FALSE(world.script.asked.pid.has_value());
}

class ConfigFile : public ::testing::Test {
 protected:
  std::string write(const std::string& text) {
    std::ofstream(path_) << text;
    return path_.string();
  }
  ~ConfigFile() override { std::filesystem::remove(path_); }
  std::filesystem::path path_ = std::filesystem::temp_directory_path() /
                                ("memspy-config-" + std::to_string(::getpid()) + ".toml");
};

TEST_F(ConfigFile, gives_options_and_what_was_typed_wins) {
  const std::string path = write(
      "interval = \"250ms\"\nengine = \"poll\"\n[attach]\nsubprocesses = true\nbudget = 1\n"
      "[top]\nrows = 5\n");
  FakeWorld world;
  EXPECT_EQ(world.run({"attach", "4242", "--config", path, "--engine", "rss"}), 0) << world.err();
  EXPECT_EQ(world.script.asked.interval, 250ms);
  EXPECT_EQ(world.script.asked.engine, sampler::EngineChoice::kRss);
  EXPECT_TRUE(world.script.asked.subprocesses);
  EXPECT_DOUBLE_EQ(world.script.asked.budget_percent, 1);
  EXPECT_EQ(world.run({"attach", "4242", "--config=" + path, "-r", "10"}), 0) << world.err();
  EXPECT_EQ(world.script.asked.interval, 100ms);
}

TEST_F(ConfigFile, an_unknown_name_is_refused_where_it_stands) {
  const std::string path = write("# hurried\n[attach]\n  intreval = \"1s\"\n");
  FakeWorld world;
  EXPECT_EQ(world.run({"attach", "4242", "--config", path}), 2);
  EXPECT_THAT(world.err(), HasSubstr("the configuration " + path));
  EXPECT_THAT(world.err(), HasSubstr("line 3, column 3: intreval"));
}

TEST_F(ConfigFile, a_bad_value_is_refused_like_a_typed_one_and_where_it_stands) {
  const std::pair<const char*, const char*> cases[] = {
      {"quiet = false\ninterval = \"abc\"\n",
       "line 2, column 12: --interval: not a duration: \"abc\""},
      {"[attach]\nbudget = 900\n", "line 2, column 10: --budget: \"900\" is not a percentage"},
      {"\ninterval = 5\n", "line 2, column 12: --interval"},
      {"\nfail-on = \"heap>5\"\n", "line 2, column 11: --fail-on"},
      {"interval = \"1s\"\nrate = 5\n", "line 2, column 8: "}};
  for (const auto& [text, says] : cases) {
    const std::string path = write(text);
    FakeWorld world;
    EXPECT_EQ(world.run({"attach", "4242", "--config", path}), 2) << text;
    EXPECT_THAT(world.err(), HasSubstr("the configuration " + path + " has a bad value")) << text;
    EXPECT_THAT(world.err(), HasSubstr(says)) << text;
    EXPECT_EQ(world.script.started, 0) << text;
  }
}

TEST_F(ConfigFile, a_value_the_verb_itself_refuses_is_told_with_its_line) {
  const std::string path = write("[record]\nformat = \"flame\"\n");
  FakeWorld world;
  EXPECT_EQ(world.run({"record", "4242", "-o", "x.folded", "--config", path}), 2);
  EXPECT_THAT(world.err(), HasSubstr("there is no format \"flame\""));
  EXPECT_THAT(world.err(),
              HasSubstr("line 2, column 10: format is flame in the configuration " + path));
  EXPECT_EQ(world.run({"record", "4242", "-o", "x.exe", "-f", "lame", "--config", path}), 2);
  EXPECT_THAT(world.err(), ::testing::Not(HasSubstr("line 2")));
}

TEST_F(ConfigFile, what_is_required_may_be_typed) {
  const std::string path = write("quiet = true\n");
  FakeWorld world;
  EXPECT_EQ(world.run({"completions", "bash", "--config", path}), 0) << world.err();
}

TEST_F(ConfigFile, what_is_no_toml_is_told_with_its_line) {
  for (const char* text : {"interval = \"1s\"\nengine = = \"poll\"\n", "\nengine poll\n",
                           "\nengine = \"poll\nbudget = 1\n", "a = 1\n[attach\nbudget = 1\n"}) {
    FakeWorld world;
    EXPECT_EQ(world.run({"attach", "4242", "--config", write(text)}), 2) << text;
    EXPECT_THAT(world.err(), HasSubstr("is not TOML")) << text;
    EXPECT_THAT(world.err(), HasSubstr("line 2, column")) << text;
  }
}

TEST_F(ConfigFile, sections_and_values_of_the_wrong_kind_are_refused) {
  const std::pair<const char*, const char*> cases[] = {
      {"[atach]\nbudget = 1\n", "section that is no verb"},
      {"[attach.more]\nbudget = 1\n", "an option memspy does not know"},
      {"subprocesses = \"yes\"\n", "not true or false"},
      {"[attach]\nbudget = {a = 1}\n", "no value"}};
  for (const auto& [text, says] : cases) {
    FakeWorld world;
    EXPECT_EQ(world.run({"attach", "4242", "--config", write(text)}), 2) << text;
    EXPECT_THAT(world.err(), HasSubstr(says)) << text;
  }
}

TEST(Conditions, parse) {
  const auto rss = parse_condition("rss > 2GiB");
  ASSERT_THAT(rss, IsOk());
  EXPECT_EQ(rss->limit, 2.0 * (1U << 30));
  EXPECT_TRUE(rss->above);
  const auto growth = parse_condition("growth>=50MiB/min");
  ASSERT_THAT(growth, IsOk());
  EXPECT_EQ(growth->per_seconds, 60);
  EXPECT_TRUE(growth->or_equal);
  EXPECT_THAT(parse_condition("rss>2GiB/min"), HasErrc(Errc::kUsage));
  EXPECT_THAT(parse_condition("growth>1M/fortnight"), HasErrc(Errc::kUsage));
  EXPECT_THAT(parse_condition("growth>"), HasErrc(Errc::kUsage));
  EXPECT_THAT(parse_condition(""), HasErrc(Errc::kUsage));
}

TEST(Conditions, of_a_comparison_ask_about_the_heap_too) {
  const auto objects = parse_condition("heap.objects > 5e6", ConditionUse::kComparison);
  ASSERT_THAT(objects, IsOk());
  EXPECT_EQ(objects->limit, 5e6);
  ASSERT_THAT(parse_condition("heap.bytes>1GiB", ConditionUse::kComparison), IsOk());
  EXPECT_THAT(parse_condition("heap.bytes>1GiB"), HasErrc(Errc::kUsage));
  EXPECT_THAT(parse_condition("heap.objects>5MiB", ConditionUse::kComparison),
              HasErrc(Errc::kUsage));
  EXPECT_THAT(parse_condition("heap.objects>5/min", ConditionUse::kComparison),
              HasErrc(Errc::kUsage));
}

TEST(Conditions, of_a_comparison_ask_for_a_share_of_time) {
  const auto share = parse_condition("allocating > 30%", ConditionUse::kComparison);
  ASSERT_THAT(share, IsOk());
  EXPECT_DOUBLE_EQ(share->limit, 0.3);
  EXPECT_DOUBLE_EQ(parse_condition("allocating.change<-2.5%", ConditionUse::kComparison)->limit,
                   -0.025);
  for (const char* bad : {"allocating>30", "allocating>130%", "allocating>-1%",
                          "allocating>30%/min", "allocating>1MiB", "allocating.change>%"})
    EXPECT_THAT(parse_condition(bad, ConditionUse::kComparison), HasErrc(Errc::kUsage)) << bad;
  EXPECT_THAT(parse_condition("allocating>30%"), HasErrc(Errc::kUsage)) << "of a process";
}

TEST(Conditions, a_rate_needs_ten_seconds_and_forgets_after_a_minute) {
  ConditionWatch watch(*parse_condition("growth>60B/min"));
  EXPECT_FALSE(watch.update(0s, 1000));
  EXPECT_FALSE(watch.update(5s, 9000));  // a burst at the start
  EXPECT_TRUE(watch.update(10s, 9000));
  EXPECT_TRUE(watch.update(50s, 9000));
  EXPECT_FALSE(watch.update(120s, 9000));
}

TEST(Conditions, growth_without_a_rate_counts_from_the_start) {
  ConditionWatch watch(*parse_condition("growth>1KiB"));
  EXPECT_FALSE(watch.update(0s, 5000));
  EXPECT_FALSE(watch.update(1s, 6024));
  EXPECT_TRUE(watch.update(2s, 6025));
}

}  // namespace
}  // namespace memspy::cli
