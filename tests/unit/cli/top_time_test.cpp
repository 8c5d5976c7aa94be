// top and attach in mode alloc: the same table, of time.
#include <gtest/gtest.h>

#include <sstream>

#include "cli/top_model.h"
#include "cli/top_view.h"
#include "report/display.h"
#include "support/golden.h"
#include "support/result_matchers.h"
#include "support/sample_run.h"
#include "unit/cli/fake_env.h"

namespace memspy::cli {
namespace {

using memspy::testing::expect_golden;
using memspy::testing::FakeWorld;
using memspy::testing::IsOk;
using ::testing::HasSubstr;
using ::testing::Not;
using namespace std::chrono_literals;

class TopTime : public ::testing::Test {
 protected:
  TopTime() {
    EXPECT_THAT(memspy::testing::tell_alloc_run(model_), IsOk());
    head_ = {{4242}, "python3 /srv/app/app.py", "3.11.7", "clock", 3h + 2min};
  }
  TopRow row(const std::string& function) const {
    for (const TopRow& row : model_.rows(query_))
      if (row.function == function) return row;
    ADD_FAILURE() << "no row of " << function;
    return {};
  }
  // Time of the stack `load`, or of none, at the third second.
  void spend(StackId stack, std::chrono::microseconds time) {
    EXPECT_THAT(model_.on_allocation({3s, {1}, {1}, stack, time, 1}), IsOk());
    EXPECT_THAT(model_.on_tick_end(3s), IsOk());
  }
  StackId stack_of(const std::string& function) const {
    const StackTable& stacks = model_.profile().stacks;
    for (StackId id{1}; id.value <= stacks.stack_count(); ++id.value)
      if (stacks.frame(stacks.node(id).frame).function == function) return id;
    ADD_FAILURE() << "no stack of " << function;
    return kNoStack;
  }

  TopModel model_;
  TopHead head_;
  TopQuery query_;
};

TEST_F(TopTime, charges_time_and_counts_what_was_called) {
  EXPECT_EQ(row("load").own, 84'000);
  EXPECT_EQ(row("load").cumulative, 84'000 + 50'500);
  EXPECT_EQ(row("loads").own, 50'500);
  EXPECT_EQ(row("loads").samples, 13U);
  EXPECT_EQ(row("<module>").own, 0);
  EXPECT_EQ(row("<module>").cumulative, 134'500);
  EXPECT_EQ(row("[native thread]").own, 4'000);
}

TEST_F(TopTime, percent_is_of_all_allocating) {
  EXPECT_NEAR(row("load").percent, 100 * 84.0 / 138.5, 1e-9);
  double sum = 0;
  for (const TopRow& row : model_.rows(query_)) sum += row.percent;
  EXPECT_NEAR(sum, 100, 1e-9);  // time in which none allocated is nobody's
}

TEST_F(TopTime, now_is_a_share_of_a_cpu) {
  EXPECT_DOUBLE_EQ(cpu_share(row("load").now_per_second), 0.042);
  EXPECT_THAT(model_.on_tick_end(7s), IsOk());  // 84 ms are of the first second: out of the window
  EXPECT_DOUBLE_EQ(row("load").now_per_second, 0);
  EXPECT_DOUBLE_EQ(cpu_share(row("loads").now_per_second), 0);
  EXPECT_EQ(row("load").own, 84'000);
}

TEST_F(TopTime, a_thread_of_its_own) {
  query_.thread = ThreadIndex{2};
  const auto rows = model_.rows(query_);
  ASSERT_EQ(rows.size(), 3U);
  EXPECT_EQ(rows.front().function, "loads");
  EXPECT_EQ(rows.front().own, 20'500);
  EXPECT_EQ(model_.hottest_stack(query_).front().function, "loads");
}

TEST_F(TopTime, sorts_and_filters) {
  query_.sort = TopSort::kCumulative;
  EXPECT_EQ(model_.rows(query_).front().cumulative, 134'500);
  query_.sort = TopSort::kSamples;
  EXPECT_EQ(model_.rows(query_).front().function, "load");
  query_.filter = "__init__";
  EXPECT_EQ(model_.rows(query_).size(), 1U);
  EXPECT_EQ(model_.hottest_stack(query_).front().function, "loads");
}

TEST_F(TopTime, the_baseline_is_of_time_too) {
  model_.reset_baseline();
  EXPECT_TRUE(model_.rows(query_).empty());
  EXPECT_TRUE(model_.hottest_stack(query_).empty());
  EXPECT_EQ(model_.cpu_time().user, 0us);
  spend(stack_of("loads"), 30ms);
  spend(kNoStack, 90ms);
  EXPECT_EQ(row("loads").own, 30'000);
  EXPECT_EQ(row("loads").samples, 1U);
  EXPECT_DOUBLE_EQ(cpu_share(row("loads").now_per_second), 0.03);  // of the second since
  EXPECT_EQ(model_.cpu_time().user, 120ms);
  EXPECT_EQ(model_.cpu_time().allocating, 30ms);
  EXPECT_EQ(model_.hottest_stack(query_).front().function, "loads");
}

TEST_F(TopTime, the_share_is_of_cpu_time_in_user_mode) {
  EXPECT_EQ(model_.cpu_time().user, 1'338'500us);
  EXPECT_EQ(model_.cpu_time().allocating, 138'500us);
  EXPECT_EQ(model_.unattributed_bytes(), 0);
}

TEST_F(TopTime, each_process_has_its_top_allocator) {
  SeriesPoint child;
  child.time = 2s;
  child.process = {2};
  child[SeriesColumn::kRssBytes] = 20 << 20;
  EXPECT_THAT(model_.on_point(child), IsOk());
  auto workers = model_.workers(/*by_line=*/true);
  ASSERT_EQ(workers.size(), 2U);
  EXPECT_EQ(workers[0].pid, Pid{4242});
  EXPECT_EQ(workers[0].top->function, "load");
  EXPECT_DOUBLE_EQ(cpu_share(workers[0].now_per_second), 0.06725);
  EXPECT_EQ(workers[1].top->function, "[native thread]");
  // Who allocates most now is first, whoever grows.
  EXPECT_THAT(model_.on_allocation({2s, {2}, {3}, stack_of("load"), 900ms, 200}), IsOk());
  workers = model_.workers(/*by_line=*/true);
  EXPECT_EQ(workers[0].pid, Pid{4250});
  EXPECT_EQ(workers[0].top->own, 900'000);
  EXPECT_THAT(top_text(model_, head_, {}, 5),
              HasSubstr("    4250  20.0 MiB        45 %  worker           load (app.py:12)\n"));
}

TEST_F(TopTime, screen) {
  std::string text;
  for (const ScreenLine& line : top_screen(model_, head_, {}, 80, 20)) text += line.text + '\n';
  expect_golden("cli/top_alloc_screen.txt", text);
}

TEST_F(TopTime, batch_text_and_json) {
  expect_golden("cli/top_alloc.txt", top_text(model_, head_, {}, 5));
  expect_golden("cli/top_alloc.json", top_json(model_, head_, {}, 3).dump(2) + "\n");
}

TEST_F(TopTime, help_names_the_columns) {
  TopState state;
  state.help = true;
  std::string text;
  for (const ScreenLine& line : top_screen(model_, head_, state, 100, 24)) text += line.text + '\n';
  EXPECT_THAT(text, HasSubstr("sort by CPU now, own"));
  EXPECT_THAT(text, Not(HasSubstr("growth/s")));
}

TEST(TopLoopTime, a_batch_of_mode_alloc) {
  FakeWorld world;
  world.script.ended_by = "target exit 0";
  EXPECT_EQ(world.run({"top", "-b", "-n", "50", "4242", "--mode", "alloc"}), 0) << world.err();
  EXPECT_EQ(world.script.asked.mode, sampler::SamplingMode::kAlloc);
  EXPECT_THAT(world.out(), HasSubstr("CPU NOW"));
  EXPECT_THAT(world.out(), HasSubstr("allocating 10 % of 1.3 s of CPU time in user mode"));
}

TEST(AttachTime, says_the_share_and_the_line_with_most) {
  FakeWorld world;
  EXPECT_EQ(world.run({"attach", "4242", "--mode", "alloc"}), 0) << world.err();
  EXPECT_THAT(world.out(),
              HasSubstr("  allocating 10 % of user CPU time, most in load (app.py:12) (84.0 ms)\n"));
}

TEST(AttachTime, json_says_the_unit) {
  FakeWorld world;
  EXPECT_EQ(world.run({"attach", "4242", "-s", "--mode", "alloc", "--json"}), 0) << world.err();
  std::istringstream lines(world.out());
  std::string line;
  std::getline(lines, line);
  std::getline(lines, line);
  const Json json = Json::parse(line);
  EXPECT_NEAR(json["allocating_share"].get<double>(), 138.5 / 1338.5, 1e-9);
  EXPECT_EQ(json["top"]["function"], "load");
  EXPECT_EQ(json["top"]["own_microseconds"], 84'000);
  EXPECT_FALSE(json["top"].contains("own_bytes"));
  EXPECT_EQ(json["workers"][0]["top"]["own_microseconds"], 84'000);
}

}  // namespace
}  // namespace memspy::cli
