#include "daemon/merged_window.h"

#include <gmock/gmock.h>

#include <filesystem>

#include "daemon/segment_sink.h"
#include "support/result_matchers.h"
#include "support/temp_dir.h"
#include "unit/daemon/common.h"

namespace memspy::daemon {
namespace {

using namespace std::chrono_literals;
using memspy::testing::IsOk;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using C = SeriesColumn;

constexpr auto kStart = 1700000000s;

// Writes points of one process as a recorder or a tracer that began at `begin` would.
class Segments {
 public:
  Segments(const std::string& folder, std::chrono::seconds begin) : begin_(begin) {
    std::filesystem::create_directories(folder);
    sink_.emplace(SegmentOptions{folder, 1h});
    RunHeader header;
    header.wall_start = kStart + begin;
    header.interval = 1s;
    EXPECT_THAT(sink_->on_header(header), IsOk());
    ProcessRecord process;
    process.index = ProcessIndex{1};
    process.identity = kTarget;
    EXPECT_THAT(sink_->on_process(process), IsOk());
  }
  ~Segments() { EXPECT_THAT(sink_->finish({}), IsOk()); }
  Segments(const Segments&) = delete;
  Segments& operator=(const Segments&) = delete;

  void add(std::chrono::seconds time, std::initializer_list<std::pair<C, double>> values) {
    SeriesPoint point;
    point.process = ProcessIndex{1};
    point.time = time - begin_;
    for (const auto& [column, value] : values) point[column] = value;
    EXPECT_THAT(sink_->on_point(point), IsOk());
    EXPECT_THAT(sink_->on_tick_end(point.time), IsOk());
  }

 private:
  std::chrono::seconds begin_;
  std::optional<SegmentSink> sink_;
};

class MergedWindow : public ::testing::Test {
 protected:
  recording::Profile load(std::chrono::seconds from, std::chrono::seconds to) {
    auto profile = load_window(folder_.path(), kTarget, {kStart + from, kStart + to});
    EXPECT_THAT(profile, IsOk());
    return std::move(*profile);
  }
  // 100 MiB at ten seconds, then 5 MiB a second until second 30.
  void write_series() {
    Segments series(folder_.file("series"), 0s);
    for (int second = 10; second <= 30; ++second)
      series.add(std::chrono::seconds(second), {{C::kRssBytes, (50 + 5.0 * second) * kMiB}});
  }
  memspy::testing::TempDir folder_;
};

TEST_F(MergedWindow, what_grew_without_a_tracer_is_said) {
  write_series();
  {
    // It comes at second 20 and goes at second 26.
    Segments tracer(folder_.file("targets/42-7"), 20s);
    for (int second = 21; second <= 26; ++second)
      tracer.add(std::chrono::seconds(second), {{C::kRssBytes, (50 + 5.0 * second) * kMiB},
                                                {C::kAttributedBytes, 5.0 * (second - 20) * kMiB},
                                                {C::kUnattributedBytes, 0},
                                                {C::kSamples, second},
                                                {C::kRejected, 2},
                                                {C::kStoppedSeconds, 0.5}});
  }
  const auto profile = load(0s, 31s);
  ASSERT_EQ(profile.gaps.size(), 2U);
  EXPECT_THAT(profile.gaps[0].reason, HasSubstr("RSS grew by 50.0 MiB while no tracer"));
  EXPECT_THAT(profile.gaps[1].reason, HasSubstr("RSS grew by 20.0 MiB while no tracer"));
  ASSERT_TRUE(profile.summary);
  EXPECT_EQ(profile.summary->rejected, 2U);
  EXPECT_EQ(profile.summary->stopped, 500ms);
  EXPECT_EQ(profile.summary->rss_start_bytes, 100U << 20);
  EXPECT_EQ(profile.summary->rss_end_bytes, 200U << 20);
  // It began at second 9, for what is recorded of it.
  EXPECT_EQ(profile.header.wall_start, kStart + 9s);
  EXPECT_EQ(profile.last_time, 22s);
}

TEST_F(MergedWindow, a_tracer_from_before_has_counted_before) {
  write_series();
  {
    Segments tracer(folder_.file("targets/42-7"), 5s);
    for (int second = 6; second <= 30; ++second)
      tracer.add(std::chrono::seconds(second), {{C::kRssBytes, (50 + 5.0 * second) * kMiB},
                                                {C::kAttributedBytes, 5.0 * (second - 5) * kMiB},
                                                {C::kSamples, second},
                                                {C::kStoppedSeconds, 0.25 * second}});
  }
  const auto profile = load(20s, 30s);
  EXPECT_THAT(profile.gaps, IsEmpty());
  EXPECT_EQ(profile.header.wall_start, kStart + 20s);
  EXPECT_EQ(profile.summary->rss_start_bytes, 150U << 20);
  EXPECT_LE(profile.summary->stopped, 6500ms);
}

TEST_F(MergedWindow, of_what_was_never_traced_there_are_the_figures) {
  write_series();
  const auto profile = load(0s, 31s);
  EXPECT_EQ(profile.points.size(), 21U);
  ASSERT_EQ(profile.gaps.size(), 1U);
  EXPECT_THAT(profile.gaps[0].reason, HasSubstr("100 MiB"));
  EXPECT_EQ(profile.totals().growth_bytes(), 0U);
}

TEST_F(MergedWindow, of_nothing_there_is_nothing) { EXPECT_THAT(load(0s, 10s).points, IsEmpty()); }

}  // namespace
}  // namespace memspy::daemon
