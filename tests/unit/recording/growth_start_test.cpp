#include "recording/growth_start.h"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>
#include <random>

namespace memspy::recording {
namespace {

using std::chrono::minutes;
using std::chrono::seconds;

constexpr double kMebibyte = 1 << 20;

std::vector<SizeAt> each_minute(int count, const std::function<double(int)>& mebibytes) {
  std::vector<SizeAt> sizes;
  for (int i = 0; i < count; ++i) sizes.push_back({minutes(i), mebibytes(i) * kMebibyte});
  return sizes;
}

std::optional<double> start_minute(const std::vector<SizeAt>& sizes) {
  const auto start = find_growth_start(sizes);
  if (!start) return std::nullopt;
  return std::chrono::duration<double, std::ratio<60>>(start->time).count();
}

TEST(GrowthStart, IsWhereALevelBendsUp) {
  const auto sizes = each_minute(120, [](int i) { return 100 + std::max(0, i - 70) * 2.0; });
  const auto start = find_growth_start(sizes);
  ASSERT_TRUE(start.has_value());
  EXPECT_NEAR(std::chrono::duration<double>(start->time).count(), 70 * 60, 60);
  EXPECT_NEAR(start->bytes, 100 * kMebibyte, 2 * kMebibyte);
  EXPECT_NEAR(start->bytes_per_minute, 2 * kMebibyte, 0.1 * kMebibyte);
}

TEST(GrowthStart, WhatAProgramTakesToStartIsNotIt) {
  const auto sizes = each_minute(
      200, [](int i) { return 20 + std::min(i, 10) * 15.0 + std::max(0, i - 150) * 1.0; });
  const auto start = start_minute(sizes);
  ASSERT_TRUE(start.has_value());
  EXPECT_NEAR(*start, 150, 2);
}

TEST(GrowthStart, GoingUpAndDownIsNotIt) {
  const auto sizes =
      each_minute(600, [](int i) { return 200 + (i % 7) * 10.0 + std::max(0, i - 400) * 1.0; });
  const auto start = start_minute(sizes);
  ASSERT_TRUE(start.has_value());
  EXPECT_NEAR(*start, 400, 12);
}

TEST(GrowthStart, NoiseAndSteps) {
  std::mt19937 random(7);
  std::normal_distribution<double> noise(0, 3);
  const auto sizes = each_minute(
      300, [&](int i) { return 500 + noise(random) + std::floor(std::max(0, i - 200) / 5.0) * 8; });
  const auto start = start_minute(sizes);
  ASSERT_TRUE(start.has_value());
  EXPECT_NEAR(*start, 200, 10);
}

TEST(GrowthStart, FasterGrowthIsStillTheSame) {
  const auto sizes = each_minute(
      100, [](int i) { return 100 + std::max(0, i - 40) * 1.0 + std::max(0, i - 70) * 1.0; });
  const auto start = start_minute(sizes);
  ASSERT_TRUE(start.has_value());
  EXPECT_NEAR(*start, 40, 2);
}

TEST(GrowthStart, OneStepIsWhereItStands) {
  const auto sizes = each_minute(100, [](int i) { return i < 60 ? 100.0 : 400.0; });
  const auto start = start_minute(sizes);
  ASSERT_TRUE(start.has_value());
  EXPECT_EQ(*start, 59);
}

TEST(GrowthStart, NothingWhereNothingGrows) {
  std::mt19937 random(3);
  std::normal_distribution<double> noise(0, 2);
  EXPECT_FALSE(start_minute(each_minute(300, [&](int) { return 300 + noise(random); })));
  EXPECT_FALSE(start_minute(each_minute(300, [](int) { return 300; })));
  EXPECT_FALSE(start_minute(each_minute(300, [](int i) { return 300 - i * 0.5; })));
  EXPECT_FALSE(start_minute(each_minute(100, [](int i) { return i < 30 ? 100 + i : 130.0 - i; })));
}

TEST(GrowthStart, NothingWhereItGrewFromTheBeginning) {
  EXPECT_FALSE(start_minute(each_minute(300, [](int i) { return 50 + i * 1.0; })));
}

TEST(GrowthStart, NothingFromAFewValues) {
  EXPECT_FALSE(start_minute({}));
  EXPECT_FALSE(start_minute(each_minute(5, [](int i) { return i < 3 ? 10 : 10 + i * 5.0; })));
}

TEST(GrowthStart, ValuesOfADamagedFileArePassedOver) {
  auto sizes = each_minute(120, [](int i) { return 100 + std::max(0, i - 70) * 2.0; });
  sizes[3].bytes = std::numeric_limits<double>::quiet_NaN();
  sizes[9].bytes = 1e300;
  sizes[11].bytes = -5;
  sizes[20].time = minutes(5);
  sizes[0].time = std::chrono::nanoseconds::min();
  const auto start = start_minute(sizes);
  ASSERT_TRUE(start.has_value());
  EXPECT_NEAR(*start, 70, 2);
}

TEST(GrowthStart, OfManyValuesToo) {
  std::vector<SizeAt> sizes;
  for (int i = 0; i < 20000; ++i)
    sizes.push_back({seconds(i), (100 + std::max(0, i - 15000) * 0.01 + (i % 13)) * kMebibyte});
  const auto start = start_minute(sizes);
  ASSERT_TRUE(start.has_value());
  EXPECT_NEAR(*start, 250, 5);
}

TEST(GrowthStart, TheProcessThatGrowsIsChosen) {
  std::vector<SeriesPoint> points;
  for (int i = 0; i < 10; ++i) {
    for (std::uint32_t process = 1; process <= 2; ++process) {
      SeriesPoint point;
      point.process = ProcessIndex{process};
      point.time = seconds(i);
      point[SeriesColumn::kRssBytes] = process == 1 ? 900.0 : 100.0 + i;
      points.push_back(point);
    }
  }
  EXPECT_EQ(main_grower(points), ProcessIndex{2});
  const auto sizes = rss_of_process(points, ProcessIndex{2});
  ASSERT_EQ(sizes.size(), 10U);
  EXPECT_EQ(sizes.back().bytes, 109);
  EXPECT_FALSE(main_grower({}));
}

}  // namespace
}  // namespace memspy::recording
