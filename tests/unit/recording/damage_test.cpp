// Recordings that were cut, broken, or never were.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "base/file.h"
#include "recording/profile.h"
#include "recording/recording.h"
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

std::string read_whole(const std::string& path) {
  auto bytes = read_file(path);
  EXPECT_THAT(bytes, IsOk());
  return bytes.value_or({});
}

void write_whole(const std::string& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary) << bytes;
}

std::string steady_recording(const TempDir& dir, int ticks) {
  const std::string path = dir.file("steady.memspy");
  auto writer = Writer::create(path);
  EXPECT_THAT(writer, IsOk());
  EXPECT_THAT(memspy::testing::tell_steady_service(**writer, ticks, 20), IsOk());
  return path;
}

// Ends the child without a destructor in the middle of a tick, as the OOM killer would.
class KilledAtTick final : public SampleSink {
 public:
  KilledAtTick(SampleSink& below, int ticks) : below_(below), ticks_(ticks) {}
  Result<Unit> on_header(const RunHeader& r) override { return below_.on_header(r); }
  Result<Unit> on_process(const ProcessRecord& r) override { return below_.on_process(r); }
  Result<Unit> on_thread(const ThreadRecord& r) override { return below_.on_thread(r); }
  Result<Unit> on_frame(FrameId i, const Frame& r) override { return below_.on_frame(i, r); }
  Result<Unit> on_stack(StackId i, const StackTable::Node& r) override {
    return below_.on_stack(i, r);
  }
  Result<Unit> on_point(const SeriesPoint& r) override {
    MEMSPY_CHECK(below_.on_point(r));
    if (ticks_ == 0) ::kill(::getpid(), SIGKILL);
    return Unit{};
  }
  Result<Unit> on_growth(const GrowthRecord& r) override { return below_.on_growth(r); }
  Result<Unit> on_unattributed(const UnattributedRecord& r) override {
    return below_.on_unattributed(r);
  }
  Result<Unit> on_gap(const Gap& r) override { return below_.on_gap(r); }
  Result<Unit> on_tick_end(std::chrono::nanoseconds time) override {
    --ticks_;
    return below_.on_tick_end(time);
  }
  Result<Unit> finish(const RunSummary& r) override { return below_.finish(r); }

 private:
  SampleSink& below_;
  int ticks_;
};

TEST(Damage, SurvivesKillOfTheWriter) {
  for (const int ticks : {1, 7, 700}) {
    const TempDir dir;
    const std::string path = dir.file("run.memspy");
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      auto writer = Writer::create(path);
      if (!writer.has_value()) ::_exit(1);
      KilledAtTick sink(**writer, ticks);
      static_cast<void>(memspy::testing::tell_steady_service(sink, 3600, 20));
      ::_exit(2);
    }
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFSIGNALED(status)) << status;
    auto reader = Reader::open(path);
    ASSERT_THAT(reader, IsOk());
    CollectingSink read;
    ASSERT_THAT(reader->replay(read), IsOk());
    EXPECT_EQ(read.count("tick"), static_cast<std::size_t>(ticks));
    EXPECT_EQ(read.count("growth"), static_cast<std::size_t>(ticks) * 20);
    EXPECT_THAT(reader->note(), HasSubstr("cut short"));
  }
}

TEST(Damage, RefusesWhatIsNoRecording) {
  const TempDir dir;
  write_whole(dir.file("text"), std::string(4000, 'x'));
  write_whole(dir.file("empty"), "");
  write_whole(dir.file("zeros"), std::string("SQLite format 3\0", 16) + std::string(4080, '\0'));
  EXPECT_THAT(Reader::open(dir.file("text")), HasErrc(Errc::kUsage));
  EXPECT_THAT(Reader::open(dir.file("empty")), HasErrc(Errc::kUsage));
  EXPECT_THAT(Reader::open(dir.file("zeros")), HasErrc(Errc::kUsage));
  EXPECT_THAT(Reader::open(dir.file("absent")), HasErrc(Errc::kUsage));
  EXPECT_THAT(Reader::open(dir.path()), HasErrc(Errc::kUsage));
}

// memspy was killed between its first look at the output and its first at the target.
TEST(Damage, ARecordingThatWasNeverBegunSaysSo) {
  const TempDir dir;
  ASSERT_THAT(Writer::create(dir.file("run.memspy")), IsOk());
  const auto reader = Reader::open(dir.file("run.memspy"));
  ASSERT_THAT(reader, HasErrc(Errc::kUsage));
  EXPECT_THAT(reader.error().message, HasSubstr("holds nothing"));
}

TEST(Damage, RefusesANewerFormatAndNamesBoth) {
  const TempDir dir;
  const std::string path = steady_recording(dir, 2);
  std::string bytes = read_whole(path);
  bytes[63] = 9;  // user_version, big endian at 60
  write_whole(path, bytes);
  auto reader = Reader::open(path);
  ASSERT_THAT(reader, HasErrc(Errc::kUnsupported));
  EXPECT_THAT(reader.error().message, HasSubstr("format 9"));
  EXPECT_THAT(reader.error().message, HasSubstr("up to 3"));
}

TEST(Damage, ReadsWhatATruncatedFileStillHas) {
  const TempDir dir;
  const std::string path = steady_recording(dir, 1000);
  const auto whole = std::filesystem::file_size(path);
  std::filesystem::resize_file(path, whole * 3 / 4 / 4096 * 4096 + 100);
  auto reader = Reader::open(path);
  ASSERT_THAT(reader, IsOk());
  CollectingSink read;
  ASSERT_THAT(reader->replay(read), IsOk());
  EXPECT_GT(read.count("tick"), 500u);
  EXPECT_GT(read.count("growth"), 10'000u);
  EXPECT_LT(read.count("growth"), 20'000u);
  EXPECT_THAT(reader->note(), HasSubstr("truncated"));
}

TEST(Damage, ReadsOnPastABrokenPage) {
  const TempDir dir;
  const std::string path = steady_recording(dir, 1000);
  std::string bytes = read_whole(path);
  const std::size_t page = bytes.size() / 2 / 4096 * 4096;
  std::fill(bytes.begin() + static_cast<std::ptrdiff_t>(page),
            bytes.begin() + static_cast<std::ptrdiff_t>(page + 4096), '\xee');
  write_whole(path, bytes);
  auto reader = Reader::open(path);
  ASSERT_THAT(reader, IsOk());
  auto profile = Profile::load(*reader);
  ASSERT_THAT(profile, IsOk());
  EXPECT_GT(profile->points.size(), 900u);
  EXPECT_THAT(profile->note, HasSubstr("lost"));
}

TEST(Damage, NoDamageOfAnyPageCrashesOrHangs) {
  const TempDir dir;
  const std::string path = steady_recording(dir, 60);
  const std::string bytes = read_whole(path);
  for (std::size_t page = 0; page < bytes.size(); page += 4096) {
    std::string broken = bytes;
    for (std::size_t at = page; at < page + 4096 && at < broken.size(); at += 7) {
      if (at >= 100) broken[at] = static_cast<char>(broken[at] ^ 0x55);
    }
    write_whole(path, broken);
    auto reader = Reader::open(path);
    if (!reader.has_value()) continue;
    Profile profile;
    static_cast<void>(reader->replay(profile));
  }
}

// A child, because the limit is the process's.
TEST(Damage, AFullDiskIsAnOutputErrorAndKeepsWhatWasWritten) {
  const TempDir dir;
  const std::string path = dir.file("run.memspy");
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    ::signal(SIGXFSZ, SIG_IGN);
    const rlimit limit{600 << 10, 600 << 10};
    auto writer = Writer::create(path);
    if (!writer.has_value() || ::setrlimit(RLIMIT_FSIZE, &limit) != 0) ::_exit(1);
    const auto told = memspy::testing::tell_steady_service(**writer, 3600, 20);
    if (told.has_value()) ::_exit(2);
    const Error& error = told.error();
    const bool right = error.code == Errc::kOutput &&
                       error.message.find(path) != std::string::npos &&
                       error.why.find("is kept in") != std::string::npos;
    ::_exit(right ? 0 : 3);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 0);
  auto reader = Reader::open(path);
  ASSERT_THAT(reader, IsOk());
  CollectingSink read;
  ASSERT_THAT(reader->replay(read), IsOk());
  EXPECT_GT(read.count("tick"), 20u);
}

}  // namespace
}  // namespace memspy::recording
