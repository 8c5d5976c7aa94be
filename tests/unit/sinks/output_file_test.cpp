#include "sinks/output_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "base/file.h"
#include "support/result_matchers.h"
#include "support/temp_dir.h"

namespace memspy::sinks {
namespace {

using memspy::testing::HasErrc;
using memspy::testing::IsOk;
using memspy::testing::TempDir;
using ::testing::HasSubstr;

std::size_t entries(const TempDir& dir) {
  std::size_t count = 0;
  for ([[maybe_unused]] const auto& e : std::filesystem::directory_iterator(dir.path())) ++count;
  return count;
}

OutputFacts facts() { return {Pid{4242}, std::chrono::seconds(1700000000), "db-7", "python/3"}; }

TEST(OutputFile, IsNotThereUntilItIsWhole) {
  const TempDir dir;
  std::ostringstream console;
  auto file = OutputFile::open(dir.file("out.folded"), false, console);
  ASSERT_THAT(file, IsOk());
  file->stream() << "a 1\n";
  EXPECT_FALSE(std::filesystem::exists(dir.file("out.folded")));
  const auto path = file->commit(facts());
  ASSERT_THAT(path, IsOk());
  EXPECT_EQ(*path, dir.file("out.folded"));
  EXPECT_EQ(read_file(*path).value_or(""), "a 1\n");
  EXPECT_EQ(entries(dir), 1u);
  EXPECT_EQ(console.str(), "");
}

TEST(OutputFile, LeavesNothingWhenItIsGivenUp) {
  const TempDir dir;
  std::ostringstream console;
  {
    auto file = OutputFile::open(dir.file("out"), false, console);
    ASSERT_THAT(file, IsOk());
    file->stream() << "half";
    EXPECT_EQ(entries(dir), 1u);
  }
  EXPECT_EQ(entries(dir), 0u);
}

TEST(OutputFile, ReplacesOnlyByForce) {
  const TempDir dir;
  std::ostringstream console;
  std::ofstream(dir.file("out")) << "old";
  auto refused = OutputFile::open(dir.file("out"), false, console);
  ASSERT_THAT(refused, HasErrc(Errc::kOutput));
  EXPECT_THAT(refused.error().hint, HasSubstr("--force"));
  auto file = OutputFile::open(dir.file("out"), true, console);
  ASSERT_THAT(file, IsOk());
  file->stream() << "new";
  EXPECT_EQ(read_file(dir.file("out")).value_or(""), "old");
  ASSERT_THAT(file->commit(facts()), IsOk());
  EXPECT_EQ(read_file(dir.file("out")).value_or(""), "new");
}

TEST(OutputFile, AFileThatCameMeanwhileIsNotReplaced) {
  const TempDir dir;
  std::ostringstream console;
  std::string partial;
  {
    auto file = OutputFile::open(dir.file("out"), false, console);
    ASSERT_THAT(file, IsOk());
    file->stream() << "ours";
    std::ofstream(dir.file("out")) << "theirs";
    const auto done = file->commit(facts());
    ASSERT_THAT(done, HasErrc(Errc::kOutput));
    EXPECT_THAT(done.error().why, HasSubstr(".part"));
  }
  EXPECT_EQ(read_file(dir.file("out")).value_or(""), "theirs");
  EXPECT_EQ(entries(dir), 2u);
}

TEST(OutputFile, ExpandsItsName) {
  EXPECT_EQ(expand_output_name("a-%p-%t-%h-%n.folded", facts()),
            "a-4242-20231114T221320Z-db-7-python_3.folded");
  EXPECT_EQ(expand_output_name("100%%-%x-%", facts()), "100%-%x-%");
  EXPECT_EQ(expand_output_name("%p", {}), "%p");
  const TempDir dir;
  std::ostringstream console;
  auto file = OutputFile::open(dir.file("out.%p"), false, console);
  ASSERT_THAT(file, IsOk());
  const auto path = file->commit(facts());
  ASSERT_THAT(path, IsOk());
  EXPECT_EQ(*path, dir.file("out.4242"));
  EXPECT_THAT(OutputFile::open(dir.file("%p/out"), false, console), HasErrc(Errc::kUsage));
}

TEST(OutputFile, SaysBeforehandThatItCannotBeWritten) {
  const TempDir dir;
  std::ostringstream console;
  EXPECT_THAT(OutputFile::open(dir.file("no/out"), false, console), HasErrc(Errc::kOutput));
  EXPECT_THAT(OutputFile::open(dir.path(), true, console), HasErrc(Errc::kOutput));
  EXPECT_THAT(OutputFile::open("", true, console), HasErrc(Errc::kUsage));
}

TEST(OutputFile, WritesToStandardOutputAndToDevices) {
  std::ostringstream console;
  auto file = OutputFile::open("-", false, console);
  ASSERT_THAT(file, IsOk());
  EXPECT_TRUE(file->is_standard_output());
  file->stream() << "text";
  ASSERT_THAT(file->commit({}), IsOk());
  EXPECT_EQ(console.str(), "text");

  auto null = OutputFile::open("/dev/null", false, console);
  ASSERT_THAT(null, IsOk());
  null->stream() << "text";
  ASSERT_THAT(null->commit({}), IsOk());
  EXPECT_FALSE(std::filesystem::is_regular_file("/dev/null"));
}

TEST(OutputFile, AFullDiskIsAnOutputErrorWithItsErrno) {
  std::ostringstream console;
  auto full = OutputFile::open("/dev/full", false, console);
  ASSERT_THAT(full, IsOk());
  full->stream() << std::string(1 << 20, 'x');
  const auto done = full->commit({});
  ASSERT_THAT(done, HasErrc(Errc::kOutput));
  EXPECT_EQ(done.error().sys, ENOSPC);
}

TEST(OutputFile, GoesThroughALinkToItsFile) {
  const TempDir dir;
  std::ostringstream console;
  std::ofstream(dir.file("real")) << "old";
  std::filesystem::create_symlink("real", dir.file("link"));
  auto file = OutputFile::open(dir.file("link"), true, console);
  ASSERT_THAT(file, IsOk());
  file->stream() << "new";
  ASSERT_THAT(file->commit({}), IsOk());
  EXPECT_TRUE(std::filesystem::is_symlink(dir.file("link")));
  EXPECT_EQ(read_file(dir.file("real")).value_or(""), "new");
}

}  // namespace
}  // namespace memspy::sinks
