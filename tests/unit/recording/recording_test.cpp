#include "recording/recording.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "recording/peak.h"
#include "recording/profile.h"
#include "recording/sqlite_db.h"
#include "support/collecting_sink.h"
#include "support/result_matchers.h"
#include "support/sample_run.h"
#include "support/temp_dir.h"

namespace memspy::recording {
namespace {

using memspy::testing::CollectingSink;
using memspy::testing::HasErrc;
using memspy::testing::IsOk;
using memspy::testing::TempDir;
using ::testing::HasSubstr;

// A file that holds this run.
using Tell = Result<Unit> (*)(SampleSink&);
void write_run(const std::string& path, Tell tell) {
  auto writer = Writer::create(path);
  ASSERT_THAT(writer, IsOk());
  ASSERT_THAT(tell(**writer), IsOk());
}

TEST(Recording, GivesBackWhatWasWritten) {
  const TempDir dir;
  const std::string path = dir.file("run.memspy");
  CollectingSink told;
  ASSERT_THAT(memspy::testing::tell_sample_run(told), IsOk());
  write_run(path, memspy::testing::tell_sample_run);
  auto reader = Reader::open(path);
  ASSERT_THAT(reader, IsOk());
  CollectingSink read;
  ASSERT_THAT(reader->replay(read), IsOk());
  EXPECT_EQ(read.data(), told.data());
  EXPECT_EQ(read.count("frame"), told.count("frame"));
  EXPECT_EQ(read.count("stack"), told.count("stack"));
  EXPECT_EQ(reader->note(), "");
  EXPECT_EQ(reader->header().engine, "faults");
  ASSERT_TRUE(reader->summary().has_value());
  EXPECT_EQ(reader->summary()->samples, 795u);
  EXPECT_EQ(reader->summary()->counters.size(), 2u);
}

TEST(Recording, GivesBackTimeSpentAllocating) {
  const TempDir dir;
  const std::string path = dir.file("run.memspy");
  CollectingSink told, read;
  ASSERT_THAT(memspy::testing::tell_alloc_run(told), IsOk());
  write_run(path, memspy::testing::tell_alloc_run);
  auto reader = Reader::open(path);
  ASSERT_THAT(reader, IsOk());
  ASSERT_THAT(reader->replay(read), IsOk());
  EXPECT_EQ(read.data(), told.data());
  EXPECT_EQ(read.count("allocation"), 6u);
  auto profile = Profile::load(*reader);
  ASSERT_THAT(profile, IsOk());
  EXPECT_EQ(profile->measure(), Measure::kMicroseconds);
  EXPECT_EQ(profile->allocating().time, std::chrono::microseconds(138'500));
  EXPECT_EQ(profile->allocating().samples, 35u);
  EXPECT_EQ(profile->not_allocating().time, std::chrono::milliseconds(1200));
  EXPECT_TRUE(profile->growth.empty());
}

TEST(Recording, GivesBackWhatLivesAndWhatCameAndWent) {
  const TempDir dir;
  const std::string path = dir.file("run.memspy");
  CollectingSink told, read;
  ASSERT_THAT(memspy::testing::tell_live_run(told), IsOk());
  write_run(path, memspy::testing::tell_live_run);
  auto reader = Reader::open(path);
  ASSERT_THAT(reader, IsOk());
  ASSERT_THAT(reader->replay(read), IsOk());
  EXPECT_EQ(read.data(), told.data());
  EXPECT_EQ(read.count("live"), 2u);
  EXPECT_EQ(read.count("temporary"), 3u);
}

TEST(Recording, SurvivedCollectionsAreNotKnownOfAnOlderOne) {
  const TempDir dir;
  const std::string path = dir.file("run.memspy");
  write_run(path, memspy::testing::tell_live_run);
  {
    auto db = Database::open(path, SQLITE_OPEN_READWRITE);
    ASSERT_THAT(db, IsOk());
    ASSERT_EQ(db->exec("ALTER TABLE live DROP COLUMN collections; DROP TABLE temporaries"),
              SQLITE_OK);
  }
  auto reader = Reader::open(path);
  ASSERT_THAT(reader, IsOk());
  auto profile = Profile::load(*reader);
  ASSERT_THAT(profile, IsOk());
  ASSERT_EQ(profile->live.size(), 2u);
  EXPECT_EQ(profile->live[0].blocks, 60u);
  EXPECT_EQ(profile->live[0].collections, 0u);
  EXPECT_TRUE(profile->temporaries.empty());
  EXPECT_EQ(reader->note(), "");
}

TEST(Recording, ThePeakIsWhenMostHadGrown) {
  const TempDir dir;
  write_run(dir.file("run.memspy"), memspy::testing::tell_live_run);
  auto reader = Reader::open(dir.file("run.memspy"));
  ASSERT_THAT(reader, IsOk());
  const auto peak = find_peak(*reader);
  ASSERT_THAT(peak, IsOk());
  EXPECT_EQ(peak->time, std::chrono::seconds(2));
  EXPECT_EQ(peak->bytes, 5U << 20);
  EXPECT_FALSE(peak->of_rss);
}

// What was there before the run and is given back is in no record of its own.
TEST(Recording, ThePeakOfResidentMemoryIsThatOfRss) {
  const TempDir dir;
  auto writer = Writer::create(dir.file("run.memspy"));
  ASSERT_THAT(writer, IsOk());
  SampleSink& sink = **writer;
  ASSERT_THAT(sink.on_header(memspy::testing::sample_header()), IsOk());
  ProcessRecord process;
  process.index.value = 1;
  ASSERT_THAT(sink.on_process(process), IsOk());
  for (const auto& [second, rss, touched] :
       {std::tuple{1, 1000.0, 0U}, {2, 1010.0, 10U}, {3, 100.0, 90U}, {4, 200.0, 100U}}) {
    SeriesPoint point;
    point.time = std::chrono::seconds(second);
    point.process.value = 1;
    point[SeriesColumn::kRssBytes] = rss;
    ASSERT_THAT(sink.on_point(point), IsOk());
    ASSERT_THAT(sink.on_growth({point.time, {1}, {}, {}, touched, 0, 1}), IsOk());
    ASSERT_THAT(sink.on_tick_end(point.time), IsOk());
  }
  ASSERT_THAT(sink.finish({}), IsOk());
  auto reader = Reader::open(dir.file("run.memspy"));
  ASSERT_THAT(reader, IsOk());
  const auto peak = find_peak(*reader);
  ASSERT_THAT(peak, IsOk());
  EXPECT_TRUE(peak->of_rss);
  EXPECT_EQ(peak->time, std::chrono::seconds(2));
  EXPECT_EQ(peak->bytes, 1010U);
}

TEST(Recording, IsOneFileOnceFinished) {
  const TempDir dir;
  auto writer = Writer::create(dir.file("run.memspy"));
  ASSERT_THAT(writer, IsOk());
  ASSERT_THAT(memspy::testing::tell_sample_run(**writer), IsOk());
  writer->reset();
  std::size_t files = 0;
  for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator(dir.path()))
    ++files;
  EXPECT_EQ(files, 1u);
}

TEST(Recording, ReplaysIntoAWriterWithoutLoss) {
  const TempDir dir;
  auto writer = Writer::create(dir.file("one.memspy"));
  ASSERT_THAT(writer, IsOk());
  ASSERT_THAT(memspy::testing::tell_sample_run(**writer), IsOk());
  auto reader = Reader::open(dir.file("one.memspy"));
  ASSERT_THAT(reader, IsOk());
  auto copy = Writer::create(dir.file("two.memspy"));
  ASSERT_THAT(copy, IsOk());
  ASSERT_THAT(reader->replay(**copy), IsOk());
  copy->reset();
  auto second = Reader::open(dir.file("two.memspy"));
  ASSERT_THAT(second, IsOk());
  CollectingSink a;
  CollectingSink b;
  ASSERT_THAT(reader->replay(a), IsOk());
  ASSERT_THAT(second->replay(b), IsOk());
  EXPECT_EQ(a.lines, b.lines);
}

TEST(Recording, RefusesAnExistingFile) {
  const TempDir dir;
  ASSERT_THAT(Writer::create(dir.file("a.memspy")), IsOk());
  EXPECT_THAT(Writer::create(dir.file("a.memspy")), HasErrc(Errc::kOutput));
  EXPECT_THAT(Writer::create(dir.file("no/such/folder.memspy")), HasErrc(Errc::kOutput));
}

TEST(Recording, IsReadableWhileItIsWritten) {
  const TempDir dir;
  const std::string path = dir.file("run.memspy");
  auto writer = Writer::create(path);
  ASSERT_THAT(writer, IsOk());
  ASSERT_THAT(memspy::testing::tell_unfinished_run(**writer), IsOk());
  auto reader = Reader::open(path);
  ASSERT_THAT(reader, IsOk());
  EXPECT_FALSE(reader->summary().has_value());
  EXPECT_THAT(reader->note(), HasSubstr("no end"));
  CollectingSink read;
  ASSERT_THAT(reader->replay(read), IsOk());
  EXPECT_EQ(read.count("tick"), 2u);
  EXPECT_EQ(read.count("growth"), 8u);
  // The reader neither blocks the writer nor spoils its end.
  ASSERT_THAT((*writer)->finish(memspy::testing::sample_summary()), IsOk());
  auto again = Reader::open(path);
  ASSERT_THAT(again, IsOk());
  EXPECT_TRUE(again->summary().has_value());
}

// A recording without an end still ends its replay, with the figures that its records add up to.
TEST(Recording, AnUnfinishedRunGetsASummaryOfItsRecords) {
  const TempDir dir;
  {
    auto writer = Writer::create(dir.file("run.memspy"));
    ASSERT_THAT(writer, IsOk());
    ASSERT_THAT(memspy::testing::tell_unfinished_run(**writer), IsOk());
  }
  auto reader = Reader::open(dir.file("run.memspy"));
  ASSERT_THAT(reader, IsOk());
  auto profile = Profile::load(*reader);
  ASSERT_THAT(profile, IsOk());
  const RunSummary expected = memspy::testing::sample_summary();
  ASSERT_TRUE(profile->summary.has_value());
  EXPECT_EQ(profile->summary->growth_bytes, expected.growth_bytes);
  EXPECT_EQ(profile->summary->shrink_bytes, expected.shrink_bytes);
  EXPECT_EQ(profile->summary->samples, expected.samples);
  EXPECT_THAT(profile->summary->ended_by, HasSubstr("not known"));
  EXPECT_THAT(profile->note, HasSubstr("cut short after 2.0 s"));
}

TEST(Recording, AnHourOfSteadyServiceIsSmall) {
  const TempDir dir;
  const std::string path = dir.file("hour.memspy");
  auto writer = Writer::create(path);
  ASSERT_THAT(writer, IsOk());
  ASSERT_THAT(memspy::testing::tell_steady_service(**writer, 3600, 20), IsOk());
  writer->reset();
  const auto size = std::filesystem::file_size(path);
  RecordProperty("bytes_per_hour", std::to_string(size));
  EXPECT_LE(size, 2'000'000u);
}

}  // namespace
}  // namespace memspy::recording
