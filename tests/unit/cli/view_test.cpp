// Texts and JSON of dump, doctor and top, against tests/golden/cli.
#include <gtest/gtest.h>

#include <thread>

#include "cli/doctor_view.h"
#include "cli/dump_view.h"
#include "cli/process_list.h"
#include "cli/top_census.h"
#include "cli/top_keys.h"
#include "cli/top_loop.h"
#include "cli/top_view.h"
#include "report/display.h"
#include "support/golden.h"
#include "support/result_matchers.h"
#include "unit/cli/fake_env.h"

namespace memspy::cli {
namespace {

using memspy::testing::expect_golden;
using memspy::testing::FakeWorld;
using memspy::testing::IsOk;
using ::testing::HasSubstr;
using ::testing::Not;
using namespace std::chrono_literals;

DumpModel sample_dump() {
  DumpModel model;
  model.look = memspy::testing::sample_look();
  model.memory.rss_bytes = 418U << 20;
  model.memory.pss_bytes = 402U << 20;
  model.memory.peak_rss_bytes = 512U << 20;
  model.memory.cgroup_usage_bytes = 420U << 20;
  model.memory.cgroup_limit_bytes = 1U << 30;
  model.states = {{Tid{4242}, 'R'}, {Tid{4243}, 'S'}, {Tid{4244}, 'S'}};
  model.executable = "/usr/bin/python3.11";
  return model;
}

TEST(Dump, text) { expect_golden("cli/dump.txt", dump_text(sample_dump(), {})); }

TEST(Dump, json) { expect_golden("cli/dump.json", dump_json(sample_dump(), {}).dump(2) + "\n"); }

TEST(Dump, json_begins_with_what_scripts_rely_on) {
  const Json json = dump_json(sample_dump(), {});
  std::vector<std::string> keys;
  for (const auto& [key, value] : json.items()) keys.push_back(key);
  keys.resize(4);
  EXPECT_EQ(keys, (std::vector<std::string>{"schema", "pid", "python", "threads"}));
  EXPECT_EQ(json["threads"][0]["frames"][0]["function"], "load");  // innermost first
}

TEST(Dump, only_the_holder_of_the_gil) {
  DumpStyle style;
  style.gil_only = true;
  EXPECT_EQ(dump_json(sample_dump(), style)["threads"].size(), 1U);
}

TEST(Dump, memory_that_cannot_be_read_is_said) {
  EXPECT_EQ(memory_line({}), "not readable");
  EXPECT_TRUE(memory_json({})["rss_bytes"].is_null());
}

TEST(Doctor, text_and_json) {
  FakeWorld world;
  EXPECT_EQ(world.run({"doctor", "4242"}), 5);
  expect_golden("cli/doctor.txt", world.out());
  EXPECT_EQ(world.run({"doctor", "4242", "--json"}), 5);
  const Json json = Json::parse(world.out());
  EXPECT_EQ(json["schema"], "memspy.doctor/1");
  EXPECT_EQ(json["level"], "fail");
  EXPECT_EQ(json["findings"][1]["remedy"], "sysctl kernel.perf_event_paranoid=1");
  EXPECT_TRUE(json["python"].is_null());
}

TEST(Doctor, no_such_process) {
  FakeWorld world;
  EXPECT_EQ(world.run({"doctor", "999999"}), 3);
}

class Top : public ::testing::Test {
 protected:
  Top() {
    EXPECT_THAT(memspy::testing::tell_unfinished_run(model_), IsOk());
    head_ = {{4242}, "python3 /srv/app/app.py", "3.11.7", "faults", 3h + 2min};
  }
  std::string screen(std::size_t width = 100, std::size_t height = 24) const {
    std::string text;
    for (const ScreenLine& line : top_screen(model_, head_, state_, width, height))
      text += line.text + '\n';
    return text;
  }
  TopAction press(int key) { return handle_key(key, state_, model_.profile().threads); }

  TopModel model_;
  TopHead head_;
  TopState state_;
};

TEST_F(Top, screen) { expect_golden("cli/top_screen.txt", screen()); }

TEST_F(Top, screen_is_as_high_and_at_most_as_wide_as_asked) {
  for (const std::size_t height : {3U, 6U, 10U, 24U, 60U}) {
    const auto lines = top_screen(model_, head_, state_, 40, height);
    EXPECT_EQ(lines.size(), height);
    for (const ScreenLine& line : lines) EXPECT_LE(report::display_width(line.text), 40U);
  }
}

TEST_F(Top, a_narrow_screen_cuts_the_place_and_not_the_figures) {
  EXPECT_THAT(screen(70), HasSubstr("   +16.0 MiB   19.0   +16.0 MiB        3  array"));
  EXPECT_THAT(screen(70), HasSubstr("ath.so)\n"));
}

TEST_F(Top, help) {
  press('?');
  expect_golden("cli/top_help.txt", screen());
  press('x');
  EXPECT_FALSE(state_.help);
}

TEST_F(Top, batch_text_and_json) {
  expect_golden("cli/top_batch.txt", top_text(model_, head_, state_, 5));
  expect_golden("cli/top.json", top_json(model_, head_, state_, 3).dump(2) + "\n");
}

TEST_F(Top, sorts) {
  press('2');
  EXPECT_EQ(state_.query.sort, TopSort::kOwn);
  EXPECT_EQ(model_.rows(state_.query).front().function, "load");
  EXPECT_EQ(model_.rows(state_.query).front().own, 54 << 20);
  press('3');
  EXPECT_EQ(model_.rows(state_.query).front().function, "<module>");
  press('5');
  EXPECT_LT(model_.rows(state_.query)[0].function, model_.rows(state_.query)[2].function);
  press('s');
  EXPECT_EQ(state_.query.sort, TopSort::kFile);
  press('s');
  EXPECT_EQ(state_.query.sort, TopSort::kNow);
  press('S');
  EXPECT_EQ(state_.query.sort, TopSort::kFile);
}

TEST_F(Top, own_and_the_rest_add_up_to_the_growth) {
  std::int64_t sum = 0;
  for (const TopRow& row : model_.rows(state_.query)) sum += row.own;
  std::int64_t truth = model_.unattributed_bytes();
  for (const auto& [key, value] : model_.profile().growth) truth += value.net_bytes();
  EXPECT_EQ(sum, truth);
}

TEST_F(Top, by_function_merges_lines) {
  press('L');
  EXPECT_FALSE(state_.query.by_line);
  for (const TopRow& row : model_.rows(state_.query)) EXPECT_EQ(row.line, 0);
}

TEST_F(Top, filter_is_typed_and_cleared) {
  press('/');
  for (const char c : std::string("cachex")) press(c);
  press(kKeyBackspace);
  EXPECT_THAT(screen(), HasSubstr("filter: cache_"));
  press(kKeyEnter);
  EXPECT_EQ(state_.query.filter, "cache");
  EXPECT_EQ(model_.rows(state_.query).size(), 1U);
  press('c');
  EXPECT_GT(model_.rows(state_.query).size(), 1U);
  press('/');
  press(kKeyEscape);
  EXPECT_FALSE(state_.editing_filter);
}

TEST_F(Top, steps_through_threads) {
  press('t');
  EXPECT_EQ(state_.query.thread, ThreadIndex{1});
  press('>');
  EXPECT_EQ(state_.query.thread, ThreadIndex{2});
  EXPECT_EQ(model_.rows(state_.query).front().function, "loads");
  press('>');
  press('>');
  EXPECT_FALSE(state_.query.thread.has_value());
  press('<');
  EXPECT_EQ(state_.query.thread, ThreadIndex{3});
  press('t');
  EXPECT_FALSE(state_.query.thread.has_value());
}

TEST_F(Top, reset_counts_from_now) {
  EXPECT_EQ(press('r'), TopAction::kResetBaseline);
  model_.reset_baseline();
  EXPECT_TRUE(model_.rows(state_.query).empty());
  EXPECT_EQ(model_.unattributed_bytes(), 0);
}

TEST_F(Top, pause_refresh_leave_write) {
  press(' ');
  EXPECT_TRUE(state_.paused);
  EXPECT_THAT(screen(), HasSubstr("PAUSED"));
  press('p');
  EXPECT_FALSE(state_.paused);
  press('+');
  EXPECT_DOUBLE_EQ(state_.refresh_seconds, 2);
  press('-');
  press('-');
  EXPECT_DOUBLE_EQ(state_.refresh_seconds, 0.5);
  EXPECT_EQ(press('w'), TopAction::kWriteRecording);
  EXPECT_EQ(press('q'), TopAction::kLeave);
  EXPECT_EQ(press(kKeyEscape), TopAction::kLeave);
}

TEST_F(Top, the_heap_stands_in_place_of_the_table) {
  EXPECT_EQ(press('h'), TopAction::kTakeCensus);
  state_.census_progress = "heap census: dominators";
  EXPECT_THAT(screen(), HasSubstr("heap census: dominators"));
  const auto heap = memspy::testing::sample_heap(), later = memspy::testing::sample_heap(60);
  const auto first = baseline_of(make_census(heap.look(), "what to do", nullptr));
  state_.heap = std::make_shared<const TopCensus>(
      make_census(later.look(),
                  "Python objects hold most of it: look at who owns them, which `memspy heap` says "
                  "of each, and at what grew since the look before this one",
                  &first));
  state_.census_progress.clear();
  expect_golden("cli/top_census.txt", screen());
  press('L');
  EXPECT_THAT(screen(), HasSubstr("app.SESSIONS"));
  EXPECT_EQ(press(kKeyEnter), TopAction::kTakeCensus);
  EXPECT_EQ(press(kKeyEscape), TopAction::kNone);
  EXPECT_FALSE(state_.census);
  EXPECT_THAT(screen(), HasSubstr("CUMULATIVE"));
  press('h');
  EXPECT_EQ(press('h'), TopAction::kNone);
  press('h');
  EXPECT_EQ(press('q'), TopAction::kLeave);
}

TEST_F(Top, the_heap_fits_any_screen) {
  press('h');
  const auto heap = memspy::testing::sample_heap(60);
  state_.heap = std::make_shared<const TopCensus>(
      make_census(heap.look(), std::string(300, 'v') + " and more words", nullptr));
  for (const std::size_t height : {3U, 6U, 10U, 24U, 60U}) {
    state_.scroll = 1000;
    const auto lines = top_screen(model_, head_, state_, 40, height);
    EXPECT_EQ(lines.size(), height);
    for (const ScreenLine& line : lines) EXPECT_LE(report::display_width(line.text), 40U);
  }
}

TEST_F(Top, the_last_screen_says_what_ended_the_target) {
  state_.ended_by = "target killed by SIGKILL";
  EXPECT_THAT(screen(), HasSubstr("ended: target killed by SIGKILL — q leaves"));
}

TEST(TopModel, growth_per_minute_and_time_to_the_limit) {
  TopModel model;
  EXPECT_FALSE(model.growth_per_minute().has_value());
  for (int second = 0; second <= 10; ++second) {
    SeriesPoint point;
    point.process = {1};
    point.time = std::chrono::seconds(second);
    point[SeriesColumn::kRssBytes] = 1e8 + 1e6 * second;
    point[SeriesColumn::kCgroupUsageBytes] = 1e8;
    point[SeriesColumn::kCgroupLimitBytes] = 2e8;
    ASSERT_THAT(model.on_point(point), IsOk());
  }
  EXPECT_NEAR(*model.growth_per_minute(), 6e7, 1);
  EXPECT_EQ(model.time_to_limit(), 100s);
}

SeriesPoint rss_point(std::uint32_t process, int second, double bytes) {
  SeriesPoint point;
  point.process = {process};
  point.time = std::chrono::seconds(second);
  point[SeriesColumn::kRssBytes] = bytes;
  point[SeriesColumn::kPeakRssBytes] = bytes;
  return point;
}

TEST(TopModel, memory_of_children_counts_until_they_end) {
  TopModel model;
  for (int second = 0; second <= 2; ++second) {
    ASSERT_THAT(model.on_point(rss_point(1, second, 100)), IsOk());
    if (second < 2) {
      ASSERT_THAT(model.on_point(rss_point(2, second, 40 + second)), IsOk());
    }
    ASSERT_THAT(model.on_tick_end(std::chrono::seconds(second)), IsOk());
    EXPECT_EQ(model.process_count(), second < 2 ? 2U : 1U);
  }
  EXPECT_EQ(model.rss_history(), (std::vector<double>{140, 141, 100}));
  EXPECT_EQ(model.figure(SeriesColumn::kRssBytes), 100);
}

TEST(TopModel, the_peak_of_several_is_that_of_their_sum) {
  TopModel model;
  ASSERT_THAT(model.on_point(rss_point(1, 0, 100)), IsOk());
  ASSERT_THAT(model.on_point(rss_point(2, 0, 50)), IsOk());
  ASSERT_THAT(model.on_tick_end(0s), IsOk());
  ASSERT_THAT(model.on_point(rss_point(1, 1, 10)), IsOk());
  ASSERT_THAT(model.on_point(rss_point(2, 1, 50)), IsOk());
  ASSERT_THAT(model.on_tick_end(1s), IsOk());
  EXPECT_EQ(model.figure(SeriesColumn::kRssBytes), 60);
  EXPECT_EQ(model.figure(SeriesColumn::kPeakRssBytes), 150);
}

TEST(TopModel, the_last_figures_stay_when_the_target_ends) {
  TopModel model;
  ASSERT_THAT(model.on_point(rss_point(1, 0, 100)), IsOk());
  ASSERT_THAT(model.on_tick_end(0s), IsOk());
  ASSERT_THAT(model.on_tick_end(1s), IsOk());
  EXPECT_EQ(model.figure(SeriesColumn::kRssBytes), 100);
}

TEST_F(Top, the_p99_of_the_stops_is_there_while_it_runs) {
  EXPECT_THAT(screen(), Not(HasSubstr("p99")));
  head_.pause_p99 = 166us;
  EXPECT_THAT(screen(), HasSubstr("of the time (p99 166 µs)"));
}

TEST(ProcessTable, a_narrow_one_cuts_the_command_and_keeps_the_columns) {
  ProcessRow row;
  row.pid = Pid{4242};
  row.user = "app";
  row.container = "0123456789ab";
  row.command = "/usr/bin/python3 /srv/app/manage.py runserver --noreload 127.0.0.1:8000";
  const auto table = process_table({row}, 110);
  EXPECT_THAT(table[1], HasSubstr("0123456789ab /usr/bin/pyt"));
  EXPECT_THAT(table[1], HasSubstr("…"));
  EXPECT_EQ(report::display_width(table[1]), 110U);
}

// A terminal whose keys were typed beforehand; 0 lets the time go on.
class FakeTerminal final : public TopTerminal {
 public:
  FakeTerminal(std::vector<int> keys, memspy::testing::TurnedClock& clock)
      : keys_(std::move(keys)), clock_(&clock) {}
  std::size_t width() const override { return 100; }
  std::size_t height() const override { return 20; }
  void draw(const std::vector<ScreenLine>& lines) override {
    std::string text;
    for (const ScreenLine& line : lines) text += line.text + '\n';
    screens.push_back(std::move(text));
  }
  int read_key(std::chrono::milliseconds timeout) override {
    clock_->turn(timeout);
    std::this_thread::sleep_for(1ms);  // the session's thread
    if (next_ == keys_.size()) return 'q';
    return keys_[next_++];
  }
  std::vector<std::string> screens;

 private:
  std::vector<int> keys_;
  std::size_t next_ = 0;
  memspy::testing::TurnedClock* clock_;
};

TEST(TopLoop, drills_in_and_comes_back) {
  FakeWorld world;
  world.env.verbosity = -1;
  world.rows = {{.pid = {7}, .user = "app", .command = "a.py", .rss_bytes = 1U << 20},
                {.pid = {4242}, .user = "app", .command = "b.py", .rss_bytes = 2U << 20}};
  FakeTerminal terminal({kKeyNone, kKeyEnter, kKeyNone, kKeyNone, kKeyEscape, kKeyDown, kKeyNone},
                        world.clock);
  const auto code = run_top_screen({}, terminal, world.env);
  ASSERT_THAT(code, IsOk());
  EXPECT_EQ(world.script.asked.pid, Pid{4242});  // the largest first
  EXPECT_THAT(terminal.screens.front(), HasSubstr("2 Python processes"));
  bool drilled = false;
  for (const std::string& screen : terminal.screens)
    drilled = drilled || screen.find("CUMULATIVE") != std::string::npos;
  EXPECT_TRUE(drilled);
  EXPECT_THAT(terminal.screens.back(), HasSubstr("2 Python processes"));
}

TEST(TopLoop, a_process_that_cannot_be_watched_is_a_message) {
  FakeWorld world;
  world.rows = {{.pid = {7}, .user = "root", .command = "a.py"}};
  world.script.start_error = make_error(Errc::kPermission, "cannot read the memory of PID 7");
  FakeTerminal terminal({kKeyEnter, kKeyNone}, world.clock);
  ASSERT_THAT(run_top_screen({}, terminal, world.env), IsOk());
  EXPECT_THAT(terminal.screens.back(), HasSubstr("cannot read the memory of PID 7"));
}

TEST(TopLoop, batch_ends_with_the_target) {
  FakeWorld world;
  world.script.ended_by = "target exit 0";
  EXPECT_EQ(world.run({"top", "-b", "-n", "50", "4242"}), 0);
  EXPECT_THAT(world.out(), HasSubstr("hottest stack:"));
  EXPECT_THAT(world.err(), HasSubstr("ended: target exit 0"));
}

TEST(TopLoop, lists_processes_in_a_batch) {
  FakeWorld world;
  world.rows = {
      {.pid = {7}, .user = "app", .version = "3.11", .command = "a.py", .rss_bytes = 1U << 20}};
  EXPECT_EQ(world.run({"top", "-b", "-n", "2"}), 0);
  expect_golden("cli/top_list.txt", world.out());
  EXPECT_EQ(world.run({"top", "--json", "-n", "1"}), 0);
  EXPECT_EQ(Json::parse(world.out())["processes"][0]["pid"], 7);
}

}  // namespace
}  // namespace memspy::cli
