// --fail-on is asked of the whole run, also of what comes without a tick.
#include <gtest/gtest.h>

#include "cli/sinks_live.h"
#include "support/result_matchers.h"

namespace memspy::cli {
namespace {

using memspy::testing::IsOk;
using namespace std::chrono_literals;

constexpr std::uint64_t kMebi = 1 << 20;

// Ticks at these times with this RSS, then the end.
bool failed(const char* condition, std::vector<std::pair<std::chrono::seconds, double>> ticks,
            const RunSummary& summary) {
  const auto parsed = parse_condition(condition);
  EXPECT_THAT(parsed, IsOk());
  WatchSink watch(*parsed);
  for (const auto& [time, rss] : ticks) {
    SeriesPoint point;
    point[SeriesColumn::kRssBytes] = rss;
    EXPECT_THAT(watch.on_point(point), IsOk());
    EXPECT_THAT(watch.on_tick_end(time), IsOk());
  }
  EXPECT_THAT(watch.finish(summary), IsOk());
  return watch.failed_at().has_value();
}

RunSummary ended(std::uint64_t start, std::uint64_t end, std::uint64_t peak) {
  RunSummary summary;
  summary.duration = 3s;
  summary.rss_start_bytes = start * kMebi;
  summary.rss_end_bytes = end * kMebi;
  summary.rss_peak_bytes = peak * kMebi;
  return summary;
}

TEST(FailOn, hears_the_last_look) {
  EXPECT_TRUE(failed("growth>200MiB", {{1s, 10.0 * kMebi}}, ended(10, 260, 260)));
  EXPECT_TRUE(failed("growth>200MiB", {}, ended(10, 260, 260)));
  EXPECT_FALSE(failed("growth>200MiB", {{1s, 10.0 * kMebi}}, ended(10, 180, 180)));
}

TEST(FailOn, hears_the_peak_between_two_ticks) {
  EXPECT_TRUE(failed("rss>200MiB", {{1s, 10.0 * kMebi}}, ended(10, 20, 250)));
  EXPECT_FALSE(failed("rss>200MiB", {{1s, 10.0 * kMebi}}, ended(10, 20, 150)));
  EXPECT_FALSE(failed("rss<5MiB", {{1s, 10.0 * kMebi}}, ended(10, 20, 250)));
}

TEST(FailOn, a_peak_is_no_rate) {
  EXPECT_FALSE(failed("growth>100MiB/min", {{1s, 10.0 * kMebi}}, ended(10, 12, 250)));
}

}  // namespace
}  // namespace memspy::cli
