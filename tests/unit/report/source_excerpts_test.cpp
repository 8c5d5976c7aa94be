#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fcntl.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <filesystem>
#include <fstream>

#include "base/unique_fd.h"
#include "report/annotate.h"
#include "support/result_matchers.h"
#include "support/sample_run.h"
#include "support/temp_dir.h"

namespace memspy::report {
namespace {

using memspy::testing::IsOk;
using memspy::testing::TempDir;

class SourceExcerpts : public ::testing::Test {
 protected:
  SourceExcerpts() {
    EXPECT_THAT(memspy::testing::tell_sample_run(profile_), IsOk());
    annotate_.source_roots = {dir_.path()};
    annotate_.context = 1;
  }
  void write(const std::string& name) const {
    std::ofstream out(dir_.file(name));
    for (int line = 1; line <= 100; ++line) out << "line " << line << '\n';
  }

  TempDir dir_;
  recording::Profile profile_;
  AnnotateOptions annotate_;
};

TEST_F(SourceExcerpts, AreTheLinesThatGrewAndThoseAround) {
  write("app.py");
  const auto excerpts = source_excerpts(profile_, annotate_);
  ASSERT_EQ(excerpts.size(), 1U);
  EXPECT_EQ(excerpts[0].file, "/srv/app/app.py");
  std::vector<std::int32_t> numbers;
  for (const auto& [number, text] : excerpts[0].lines) {
    numbers.push_back(number);
    EXPECT_EQ(text, "line " + std::to_string(number));
  }
  EXPECT_THAT(numbers, ::testing::ElementsAre(11, 12, 13, 39, 40, 41));
}

// The target says what its files are called, and can make links in folders of its own.
TEST_F(SourceExcerpts, LeaveOutWhatOnlyIsCalledPython) {
  write("shadow");
  std::filesystem::create_symlink(dir_.file("shadow"), dir_.file("app.py"));
  EXPECT_TRUE(source_excerpts(profile_, annotate_).empty());
}

// What is read and then thrown away could have become another file in between.
TEST_F(SourceExcerpts, DoNotEvenOpenWhatOnlyIsCalledPython) {
  write("shadow");
  std::filesystem::create_symlink(dir_.file("shadow"), dir_.file("app.py"));
  const UniqueFd watch(::inotify_init1(IN_NONBLOCK | IN_CLOEXEC));
  ASSERT_GE(::inotify_add_watch(watch.get(), dir_.file("shadow").c_str(), IN_OPEN | IN_ACCESS), 0);
  EXPECT_TRUE(source_excerpts(profile_, annotate_).empty());
  std::array<char, 4096> events{};
  EXPECT_EQ(::read(watch.get(), events.data(), events.size()), -1);
}

TEST_F(SourceExcerpts, GoOnToTheNextFolderWhereOneIsRefused) {
  write("shadow");
  std::filesystem::create_symlink(dir_.file("shadow"), dir_.file("app.py"));
  const TempDir checkout;
  std::ofstream out(checkout.file("app.py"));
  for (int line = 1; line <= 100; ++line) out << "the right one\n";
  out.close();
  annotate_.source_roots.push_back(checkout.path());
  const auto excerpts = source_excerpts(profile_, annotate_);
  ASSERT_EQ(excerpts.size(), 1U);
  EXPECT_EQ(excerpts[0].lines.front().second, "the right one");
}

TEST_F(SourceExcerpts, LeaveOutAFifo) {
  ASSERT_EQ(::mkfifo(dir_.file("app.py").c_str(), 0600), 0);
  EXPECT_TRUE(source_excerpts(profile_, annotate_).empty());
}

TEST_F(SourceExcerpts, FollowLinksToPython) {
  write("elsewhere.py");
  std::filesystem::create_symlink(dir_.file("elsewhere.py"), dir_.file("app.py"));
  EXPECT_EQ(source_excerpts(profile_, annotate_).size(), 1U);
}

}  // namespace
}  // namespace memspy::report
