// A row for each process of a run with -s: in the model, on the screen of top, under attach's line.
#include <gtest/gtest.h>

#include <sstream>

#include "cli/top_model.h"
#include "cli/top_view.h"
#include "report/display.h"
#include "support/result_matchers.h"
#include "support/sample_run.h"
#include "unit/cli/fake_env.h"

namespace memspy::cli {
namespace {

using memspy::testing::FakeWorld;
using memspy::testing::IsOk;
using std::chrono::seconds;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr double kMiB = 1 << 20;

class Workers : public ::testing::Test {
 protected:
  void begin(bool subprocesses, std::uint32_t count) {
    RunHeader header = memspy::testing::sample_header();
    header.subprocesses = subprocesses;
    EXPECT_THAT(model_.on_header(header), IsOk());
    for (std::uint32_t i = 1; i <= count; ++i) {
      ProcessRecord process;
      process.index = {i};
      process.identity = {Pid{static_cast<pid_t>(1000 + i)}, i};
      process.name = "gunicorn: worker";
      EXPECT_THAT(model_.on_process(process), IsOk());
    }
  }
  void tick(int second, const std::vector<double>& mib) {
    for (std::uint32_t i = 0; i < mib.size(); ++i) {
      if (mib[i] == 0) continue;
      SeriesPoint point;
      point.time = seconds(second);
      point.process = {i + 1};
      point[SeriesColumn::kRssBytes] = mib[i] * kMiB;
      EXPECT_THAT(model_.on_point(point), IsOk());
    }
    EXPECT_THAT(model_.on_tick_end(seconds(second)), IsOk());
  }
  void grow(std::uint32_t process, const std::string& function, std::uint64_t mib) {
    const Frame frame{function, "/srv/app/handlers/application.py", 117, FrameKind::kPython};
    const FrameId id = table_.intern(frame);
    const StackId stack = table_.intern(kNoStack, id);
    if (functions_++ < table_.frame_count()) {
      EXPECT_THAT(model_.on_frame(id, frame), IsOk());
      EXPECT_THAT(model_.on_stack(stack, table_.node(stack)), IsOk());
    }
    GrowthRecord growth;
    growth.time = seconds(1);
    growth.process = {process};
    growth.stack = stack;
    growth.touched_bytes = mib << 20;
    growth.samples = 1;
    EXPECT_THAT(model_.on_growth(growth), IsOk());
  }
  std::string text(std::size_t rows = 20) const {
    return top_text(model_, {Pid{1001}, "gunicorn", "3.11.7", "faults"}, {}, rows);
  }

  TopModel model_;
  StackTable table_;
  std::uint32_t functions_ = 0;
};

TEST_F(Workers, are_told_by_who_grows_fastest_each_with_its_own_line) {
  begin(true, 3);
  tick(1, {100, 50, 40});
  grow(1, "serve", 1);
  grow(2, "load_user", 7);
  tick(2, {101, 57, 40});
  const auto workers = model_.workers(/*by_line=*/true);
  ASSERT_EQ(workers.size(), 3U);
  EXPECT_EQ(workers[0].pid, Pid{1002});
  EXPECT_DOUBLE_EQ(*workers[0].growth_per_minute, 7 * 60 * kMiB);
  EXPECT_EQ(workers[0].top->function, "load_user");
  EXPECT_EQ(workers[0].top->own, 7 << 20);
  EXPECT_EQ(workers[1].pid, Pid{1001});
  EXPECT_FALSE(workers[2].top.has_value());
}

TEST_F(Workers, go_when_they_end_and_have_no_rate_when_they_begin) {
  begin(true, 2);
  tick(1, {100});
  tick(2, {100, 30});
  EXPECT_FALSE(model_.workers(true)[1].growth_per_minute.has_value());
  tick(3, {100, 31});
  EXPECT_EQ(model_.workers(true).front().pid, Pid{1002});
  tick(4, {100, 0});
  EXPECT_EQ(model_.workers(true).size(), 1U);
}

TEST_F(Workers, stand_under_the_total) {
  begin(true, 12);
  tick(1, std::vector<double>(12, 1000));
  grow(1, "serve", 1);
  tick(2, std::vector<double>(12, 1023.9));
  const std::string all = text();
  EXPECT_LT(all.find("in 12 processes"), all.find("GROWTH/min"));
  EXPECT_LT(all.find("GROWTH/min"), all.find("GROWTH/s"));
  EXPECT_THAT(all, HasSubstr("\n    1001  1024 MiB    +1.4 GiB  gunicorn: worke  serve (appl"));
  EXPECT_THAT(all, HasSubstr("\n    1012  1024 MiB    +1.4 GiB  gunicorn: worke\n"));
  EXPECT_THAT(text(3), HasSubstr("… 9 more processes"));
}

TEST_F(Workers, keep_their_figures_in_80_columns_and_leave_room_for_the_table) {
  begin(true, 12);
  tick(1, std::vector<double>(12, 1000));
  grow(1, "a_function_that_has_quite_a_long_name", 1);
  tick(2, std::vector<double>(12, 1023.9));
  const auto screen = top_screen(model_, {Pid{1001}, "gunicorn", "3.11.7", "faults"}, {}, 80, 24);
  EXPECT_EQ(screen.size(), 24U);
  std::string shown;
  for (const ScreenLine& line : screen) {
    shown += line.text + '\n';
    EXPECT_LE(report::display_width(line.text), 80U);
  }
  EXPECT_THAT(shown, HasSubstr("\n    1001  1024 MiB    +1.4 GiB  gunicorn: worke  a_func"));
  EXPECT_THAT(shown, HasSubstr("cation.py:117)\n"));
  EXPECT_THAT(shown, HasSubstr("… 8 more processes"));
  EXPECT_THAT(shown, HasSubstr("CUMULATIVE"));
}

TEST_F(Workers, are_no_rows_when_there_is_but_one_or_it_was_not_asked) {
  begin(true, 1);
  tick(1, {100});
  EXPECT_THAT(text(), Not(HasSubstr("GROWTH/min")));
  const TopHead head{Pid{1001}, "gunicorn", "3.11.7", "faults"};
  EXPECT_EQ(top_json(model_, head, {}, 5)["workers"].size(), 1U);
  begin(false, 1);
  EXPECT_FALSE(top_json(model_, head, {}, 5).contains("workers"));
}

TEST(Attach, has_a_line_for_each_worker_under_the_total) {
  FakeWorld world;
  EXPECT_EQ(world.run({"attach", "4242", "-s"}), 0) << world.err();
  EXPECT_THAT(world.out(), HasSubstr("\n       4250       20.0 MiB            -/min  worker  info "
                                     "(__init__.py:1477)\n"));
  EXPECT_LT(world.out().find("RSS   151 MiB"), world.out().find("4250"));
  EXPECT_EQ(world.run({"attach", "4242"}), 0);
  EXPECT_THAT(world.out(), Not(HasSubstr("4250")));
}

TEST(Attach, json_has_the_workers) {
  FakeWorld world;
  EXPECT_EQ(world.run({"attach", "4242", "-s", "--json"}), 0);
  std::istringstream lines(world.out());
  std::string line;
  std::getline(lines, line);
  EXPECT_EQ(Json::parse(line)["workers"].size(), 1U);
  std::getline(lines, line);
  const Json worker = Json::parse(line)["workers"][1];
  EXPECT_EQ(worker["pid"], 4250);
  EXPECT_EQ(worker["name"], "worker");
  EXPECT_EQ(worker["rss_bytes"], 20 << 20);
  EXPECT_TRUE(worker["growth_bytes_per_minute"].is_null());
  EXPECT_EQ(worker["top"]["function"], "info");
  EXPECT_EQ(worker["top"]["own_bytes"], 5 << 20);
}

}  // namespace
}  // namespace memspy::cli
