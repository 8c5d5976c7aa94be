#include "daemon/own_budget.h"

#include <gmock/gmock.h>

namespace memspy::daemon {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;

class Budget : public ::testing::Test {
 protected:
  // Ten seconds at these shares of a core.
  bool window(double daemon, double traced, std::uint64_t memory, unsigned tracers) {
    cost_.daemon_cpu_seconds += daemon / 100 * 10;
    cost_.tracers_cpu_seconds += traced / 100 * 10;
    cost_.memory_bytes = memory;
    cost_.tracers = tracers;
    now_ += 10s;
    return budget_.update(now_, cost_);
  }
  void SetUp() override { budget_.update(now_, cost_); }
  SteadyTime now_{};
  OwnCost cost_;
  BudgetConfig config_;
  OwnBudget budget_{config_};
};

TEST_F(Budget, within_it_nothing_is_lowered) {
  for (int i = 0; i < 10; ++i) EXPECT_FALSE(window(0.5, 2, 50 << 20, 10));
  EXPECT_EQ(budget_.interval_factor(), 1U);
  EXPECT_EQ(budget_.tracer_limit(), std::nullopt);
  EXPECT_EQ(budget_.thrift(), "");
}

TEST_F(Budget, tracers_that_are_dear_become_fewer_and_a_sentence_says_so) {
  EXPECT_TRUE(window(1, 7, 50 << 20, 10));
  EXPECT_EQ(budget_.tracer_limit(), 5U);
  EXPECT_EQ(budget_.interval_factor(), 1U);
  EXPECT_THAT(budget_.thrift(), HasSubstr("own CPU 8.0 % of 3 %"));
  EXPECT_THAT(budget_.thrift(), HasSubstr("at most 5 tracers"));
}

TEST_F(Budget, where_looking_is_dear_the_interval_grows) {
  EXPECT_TRUE(window(7, 1, 50 << 20, 10));
  EXPECT_EQ(budget_.interval_factor(), 2U);
  EXPECT_EQ(budget_.tracer_limit(), std::nullopt);
  for (int i = 0; i < 10; ++i) window(8, 0, 50 << 20, 0);
  EXPECT_EQ(budget_.interval_factor(), 16U);
}

TEST_F(Budget, memory_costs_a_tracer_at_a_time) {
  window(1, 0, 90 << 20, 10);
  EXPECT_EQ(budget_.tracer_limit(), 9U);
  window(1, 0, 85 << 20, 9);
  EXPECT_EQ(budget_.tracer_limit(), 8U);
}

TEST_F(Budget, the_last_tracer_stays_and_the_interval_grows) {
  window(0, 8, 10 << 20, 1);
  EXPECT_EQ(budget_.tracer_limit(), 1U);
  EXPECT_EQ(budget_.interval_factor(), 2U);
}

TEST_F(Budget, with_room_again_the_steps_are_taken_back) {
  window(8, 0, 10 << 20, 0);
  window(0, 8, 10 << 20, 2);
  EXPECT_EQ(budget_.interval_factor(), 2U);
  EXPECT_EQ(budget_.tracer_limit(), 1U);
  for (int i = 0; i < 5; ++i) window(0.5, 0, 10 << 20, 0);
  EXPECT_EQ(budget_.interval_factor(), 1U);
  EXPECT_EQ(budget_.tracer_limit(), std::nullopt);
  EXPECT_EQ(budget_.thrift(), "");
}

}  // namespace
}  // namespace memspy::daemon
