#include <gtest/gtest.h>

#include "daemon/rate_window.h"

namespace memspy::daemon {
namespace {

using namespace std::chrono_literals;

TEST(RateWindow, says_nothing_before_ten_seconds_and_then_the_growth_of_a_minute) {
  RateWindow rate;
  for (int second = 0; second < 10; ++second) rate.add(SteadyTime(second * 1s), second * 100.0);
  EXPECT_EQ(rate.per_minute(), std::nullopt);
  for (int second = 10; second < 600; ++second) rate.add(SteadyTime(second * 1s), second * 100.0);
  EXPECT_DOUBLE_EQ(*rate.per_minute(), 6000);
  for (int second = 600; second < 670; ++second) rate.add(SteadyTime(second * 1s), 59900);
  EXPECT_DOUBLE_EQ(*rate.per_minute(), 0);
}

}  // namespace
}  // namespace memspy::daemon
