#include "daemon/growth_gate.h"

#include <gtest/gtest.h>

#include <cmath>

#include "unit/daemon/common.h"

namespace memspy::daemon {
namespace {

using namespace std::chrono_literals;

class Gate : public ::testing::Test {
 protected:
  // A figure each second; how many seconds it was seen to grow.
  template <typename Rss>
  int seconds_growing(int from, int to, Rss&& rss) {
    int count = 0;
    for (int second = from; second < to; ++second)
      count += gate_.update(SteadyTime(std::chrono::seconds(second)),
                            static_cast<std::uint64_t>(rss(second)))
                   ? 1
                   : 0;
    return count;
  }
  TracingConfig config_;
  GrowthGate gate_{config_, SteadyTime{}};
};

TEST_F(Gate, what_a_program_loads_at_its_start_is_no_growth) {
  EXPECT_EQ(seconds_growing(0, 600, [](int s) { return std::min(s, 10) * 20.0 * kMiB; }), 0);
}

TEST_F(Gate, what_goes_up_and_down_is_no_growth) {
  const auto wave = [](int s) { return (100 + 40 * std::sin(s / 7.0)) * kMiB; };
  // Its first wave is new; from then on its bounds are known.
  seconds_growing(0, 120, wave);
  seconds_growing(120, 400, wave);
  EXPECT_EQ(seconds_growing(400, 1700, wave), 0);
}

TEST_F(Gate, a_leak_is_seen_at_its_first_step_and_for_as_long_as_it_goes_on) {
  seconds_growing(0, 30, [](int) { return 100 * kMiB; });
  const auto leak = [](int s) { return 100 * kMiB + (s - 30) * kMiB / 2; };
  EXPECT_GE(seconds_growing(30, 330, leak), 296);
  // Then nothing more comes: it ends within the calm.
  seconds_growing(330, 460, [](int) { return 250 * kMiB; });
  EXPECT_FALSE(gate_.growing());
}

TEST_F(Gate, a_slow_leak_is_followed_without_pause_once_its_pace_is_known) {
  seconds_growing(0, 30, [](int) { return 50 * kMiB; });
  const auto leak = [](int s) { return 50.0 * kMiB + (s - 30) * 4096; };  // a step in 4 minutes
  seconds_growing(30, 1200, leak);
  EXPECT_EQ(seconds_growing(1200, 5000, leak), 3800);
}

TEST_F(Gate, a_peak_of_long_ago_hides_no_leak) {
  seconds_growing(0, 20, [](int) { return 1000 * kMiB; });
  seconds_growing(20, 20 + 1900, [](int) { return 100 * kMiB; });
  EXPECT_GT(seconds_growing(1920, 1960, [](int s) { return (100.0 + s - 1920) * kMiB; }), 20);
}

TEST_F(Gate, what_grew_before_a_restart_goes_on) {
  gate_.resume(SteadyTime(1000s), 100 * kMiB);
  EXPECT_TRUE(gate_.update(SteadyTime(1001s), 100 * kMiB));
  EXPECT_EQ(seconds_growing(1002, 1300, [](int) { return 100 * kMiB; }), 119);
}

}  // namespace
}  // namespace memspy::daemon
