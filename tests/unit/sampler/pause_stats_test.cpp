#include "sampler/pause_stats.h"

#include <gtest/gtest.h>

namespace memspy::sampler {
namespace {

using namespace std::chrono_literals;

TEST(PauseStats, QuantilesAreWithinABucket) {
  PauseStats stats;
  EXPECT_EQ(stats.quantile(0.5), 0ns);
  for (int i = 1; i <= 1000; ++i) stats.add(std::chrono::microseconds(i));
  EXPECT_EQ(stats.count(), 1000u);
  EXPECT_EQ(stats.max(), 1000us);
  EXPECT_NEAR(static_cast<double>(stats.quantile(0.5).count()), 500e3, 30e3);
  EXPECT_NEAR(static_cast<double>(stats.quantile(0.99).count()), 990e3, 50e3);
  EXPECT_LE(stats.quantile(1), stats.max());
}

TEST(PauseStats, ExtremesStayInTheTable) {
  PauseStats stats;
  stats.add(0ns);
  stats.add(24h);
  EXPECT_EQ(stats.count(), 2u);
  EXPECT_EQ(stats.max(), 24h);
}

}  // namespace
}  // namespace memspy::sampler
