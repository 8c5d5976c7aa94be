#include <gmock/gmock.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "daemon/recorder.h"
#include "daemon/segment_sink.h"
#include "recording/recording.h"
#include "support/result_matchers.h"
#include "support/sample_run.h"
#include "support/temp_dir.h"

namespace memspy::daemon {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;
using memspy::testing::IsOk;
using ::testing::HasSubstr;

std::vector<std::string> segments(const std::string& folder) {
  std::vector<std::string> paths;
  for (const auto& entry : fs::directory_iterator(folder))
    if (entry.path().extension() == ".memspy") paths.push_back(entry.path().string());
  std::sort(paths.begin(), paths.end());
  return paths;
}

recording::Profile load(const std::string& path) {
  auto reader = recording::Reader::open(path);
  EXPECT_THAT(reader, IsOk());
  auto profile = recording::Profile::load(*reader);
  EXPECT_THAT(profile, IsOk());
  return std::move(*profile);
}

TEST(SegmentSink, a_run_is_cut_by_time_and_every_piece_is_whole) {
  const memspy::testing::TempDir folder;
  {
    SegmentSink sink({folder.path(), 10s});
    ASSERT_THAT(memspy::testing::tell_steady_service(sink, 35, 3), IsOk());
  }
  const auto paths = segments(folder.path());
  ASSERT_EQ(paths.size(), 4U);
  std::uint64_t bytes = 0;
  for (const std::string& path : paths) {
    const recording::Profile profile = load(path);
    ASSERT_TRUE(profile.summary.has_value()) << path;
    EXPECT_EQ(profile.summary->attributed_bytes, profile.totals().attributed_bytes);
    EXPECT_LE(profile.last_time, 11s);
    EXPECT_FALSE(profile.processes.empty());
    bytes += profile.totals().touched_bytes;
    EXPECT_FALSE(fs::exists(path + "-wal"));
  }
  recording::Profile whole;
  ASSERT_THAT(memspy::testing::tell_steady_service(whole, 35, 3), IsOk());
  EXPECT_EQ(bytes, whole.totals().touched_bytes);
}

TEST(SegmentSink, what_was_written_last_is_there_at_every_moment) {
  const memspy::testing::TempDir folder;
  SegmentSink sink({folder.path(), 1h});
  ASSERT_THAT(memspy::testing::tell_unfinished_run(sink), IsOk());
  const auto paths = segments(folder.path());
  ASSERT_EQ(paths.size(), 1U);
  EXPECT_EQ(load(paths[0]).last_time, 2s);  // as after kill -9: nobody has closed it
}

TEST(SegmentSink, a_segment_that_is_large_ends_too) {
  const memspy::testing::TempDir folder;
  SegmentSink sink({folder.path(), 1h, 500 << 10});
  ASSERT_THAT(memspy::testing::tell_steady_service(sink, 300, 20), IsOk());
  EXPECT_GT(segments(folder.path()).size(), 2U);
}

TEST(SegmentSink, a_folder_that_cannot_be_written_to_ends_nothing_and_is_told) {
  const memspy::testing::TempDir folder;
  const std::string place = folder.file("a-file");
  { std::ofstream(place) << "in the way"; }
  SegmentSink sink({place, 1h});
  EXPECT_THAT(memspy::testing::tell_unfinished_run(sink), IsOk());
  EXPECT_THAT(sink.trouble(), HasSubstr("cannot create the recording"));
  // There is room again: the next tick begins a segment, which says what is missing.
  fs::remove(place);
  ASSERT_THAT(sink.on_tick_end(3s), IsOk());
  EXPECT_EQ(sink.trouble(), "");
  ASSERT_THAT(sink.on_tick_end(4s), IsOk());
  const auto paths = segments(place);
  ASSERT_EQ(paths.size(), 1U);
  const auto profile = load(paths[0]);
  ASSERT_EQ(profile.gaps.size(), 1U);
  EXPECT_THAT(profile.gaps[0].reason, HasSubstr("no room"));
}

// The figures of a service whose RSS is another one in every second, by a clock that is not
// waited for. Two hours of the day: they are all alike.
TEST(SegmentSink, a_day_of_one_steady_service_is_small) {
  const memspy::testing::TempDir folder;
  {
    SegmentSink sink({folder.path(), 1h, 32U << 20});
    RunHeader header = memspy::testing::sample_header();
    header.engine = "rss";
    ASSERT_THAT(sink.on_header(header), IsOk());
    ProcessRecord record;
    record.index = ProcessIndex{1};
    record.identity = {Pid{42}, 1};
    ASSERT_THAT(sink.on_process(record), IsOk());
    for (int second = 1; second <= 7200; ++second) {
      SeriesPoint point;
      point.process = ProcessIndex{1};
      point.time = std::chrono::seconds(second);
      const std::size_t columns = second % 10 == 0 ? kSeriesColumnCount : 1;
      for (std::size_t i = 0; i < columns; ++i)
        point.values[i] = 100e6 + 4096.0 * (second % 100) + static_cast<double>(i);
      ASSERT_THAT(sink.on_point(point), IsOk());
      ASSERT_THAT(sink.on_tick_end(point.time), IsOk());
    }
  }
  std::uintmax_t bytes = 0;
  for (const std::string& path : segments(folder.path())) bytes += fs::file_size(path);
  EXPECT_LT(12 * bytes, 20'000'000U);
}

RunHeader header() {
  RunHeader header = memspy::testing::sample_header();
  header.engine = "rss";
  return header;
}

SeriesTick tick_at(int second, bool first, std::uint32_t processes) {
  SeriesTick tick;
  tick.time = std::chrono::seconds(second);
  for (std::uint32_t process = 1; process <= processes; ++process) {
    if (first) {
      ProcessRecord record;
      record.index = ProcessIndex{process};
      record.identity = {Pid{static_cast<pid_t>(process * 10)}, process};
      tick.fresh.push_back(record);
    }
    SeriesPoint point;
    point.process = ProcessIndex{process};
    point.time = tick.time;
    point[SeriesColumn::kRssBytes] = 1000.0 * second;
    tick.points.push_back(point);
  }
  return tick;
}

TEST(Recorder, keeps_the_figures_of_all_targets_in_one_recording) {
  const memspy::testing::TempDir folder;
  {
    auto recorder = Recorder::start(folder.path(), {}, header());
    ASSERT_THAT(recorder, IsOk());
    for (int second = 1; second <= 3; ++second) {
      (*recorder)->add(tick_at(second, /*first=*/second == 1, /*processes=*/2));
    }
  }
  const auto paths = segments(folder.path() + "/series");
  ASSERT_EQ(paths.size(), 1U);
  const auto profile = load(paths[0]);
  EXPECT_EQ(profile.points.size(), 6U);
  EXPECT_EQ(profile.processes.size(), 2U);
  EXPECT_EQ(profile.summary->ended_by, "the end of the daemon");
}

TEST(Recorder, the_history_has_a_point_of_each_target_a_minute) {
  const memspy::testing::TempDir folder;
  {
    auto recorder = Recorder::start(folder.path(), {}, header());
    ASSERT_THAT(recorder, IsOk());
    for (const int second : {0, 1, 5, 59, 60, 61, 119, 125, 179, 180, 200}) {
      // Of the second one nothing changes after a while.
      (*recorder)->add(tick_at(second, /*first=*/second == 0, /*processes=*/second > 5 ? 1 : 2));
    }
  }
  const auto paths = segments(folder.path() + "/history");
  ASSERT_EQ(paths.size(), 1U);
  const auto profile = load(paths[0]);
  ASSERT_EQ(profile.points.size(), 8U);  // at 0, 60, 125 and 180 s
  EXPECT_EQ(profile.points[6].time, 180s);
  EXPECT_EQ(profile.points[6][SeriesColumn::kRssBytes], 180000);
  EXPECT_EQ(profile.points[7][SeriesColumn::kRssBytes], 5000);
}

}  // namespace
}  // namespace memspy::daemon
