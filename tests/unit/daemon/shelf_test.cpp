#include "daemon/shelf.h"

#include <gmock/gmock.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>

#include "support/result_matchers.h"
#include "support/temp_dir.h"

namespace memspy::daemon {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;
using memspy::testing::HasErrc;
using memspy::testing::IsOk;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

RecorderConfig limits() {
  RecorderConfig config;
  config.keep = 30min;
  config.per_target_bytes = 100;
  config.total_bytes = 250;
  config.reserve_bytes = 0;
  return config;
}

TEST(Removal, nothing_goes_within_the_limits) {
  EXPECT_THAT(plan_removal({{"a", "1-1", 100, 29min}, {"b", "", 150, 1min}}, limits(), 0),
              IsEmpty());
}

TEST(Removal, what_is_too_old_goes) {
  EXPECT_THAT(
      plan_removal({{"a", "1-1", 1, 31min}, {"b", "", 1, 31min}, {"c", "", 1, 1min}}, limits(), 0),
      ElementsAre(0U, 1U));
}

TEST(Removal, of_a_target_with_too_much_the_oldest_go) {
  EXPECT_THAT(plan_removal(
                  {{"new", "1-1", 60, 1min}, {"old", "1-1", 60, 9min}, {"other", "2-2", 60, 20min}},
                  limits(), 0),
              ElementsAre(1U));
}

TEST(Removal, of_all_with_too_much_the_oldest_of_all_go) {
  EXPECT_THAT(plan_removal({{"a", "1-1", 90, 5min}, {"b", "2-2", 90, 7min}, {"c", "", 90, 6min}},
                           limits(), 0),
              ElementsAre(1U));
}

TEST(Removal, a_disk_that_needs_room_gets_the_oldest_and_a_segment_at_work_stays) {
  const std::vector<ShelfFile> files{
      {"a", "1-1", 50, 1min}, {"b", "", 50, 2min}, {"c", "", 50, 1s}};
  EXPECT_THAT(plan_removal(files, limits(), 60), ElementsAre(1U, 0U));
  EXPECT_THAT(plan_removal(files, limits(), 100000), ElementsAre(1U, 0U));
}

TEST(Removal, the_history_is_kept_longer_and_goes_last) {
  const std::vector<ShelfFile> files{{"series", "", 60, 20min},
                                     {"old", "", 60, 47h, true},
                                     {"oldest", "", 60, 49h, true},
                                     {"being written", "", 60, 90s, true},
                                     {"target", "1-1", 60, 1min}};
  EXPECT_THAT(plan_removal(files, limits(), 0), ElementsAre(2U));
  EXPECT_THAT(plan_removal(files, limits(), 100), ElementsAre(2U, 0U, 4U));
  EXPECT_THAT(plan_removal(files, limits(), 130), ElementsAre(2U, 0U, 4U, 1U));
  EXPECT_THAT(plan_removal(files, limits(), 100000), ElementsAre(2U, 0U, 4U, 1U));
}

class OnDisk : public ::testing::Test {
 protected:
  void write(const std::string& path, std::size_t bytes) {
    std::ofstream(path) << std::string(bytes, 'x');
  }
  memspy::testing::TempDir folder_;
  Shelf shelf_{folder_.file("state")};
};

TEST_F(OnDisk, folders_are_the_daemon_s_alone) {
  ASSERT_THAT(shelf_.prepare(), IsOk());
  ASSERT_THAT(shelf_.prepare(), IsOk());
  struct stat status {};
  ASSERT_EQ(::stat(shelf_.series_folder().c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0700U);
  ASSERT_EQ(::chmod(shelf_.series_folder().c_str(), 0777), 0);
  EXPECT_THAT(shelf_.prepare(), HasErrc(Errc::kOutput));
}

TEST_F(OnDisk, a_link_in_the_place_of_a_folder_is_refused) {
  fs::create_directory(folder_.file("elsewhere"));
  fs::create_symlink(folder_.file("elsewhere"), folder_.file("state"));
  EXPECT_THAT(shelf_.prepare(), HasErrc(Errc::kOutput));
}

TEST_F(OnDisk, old_segments_go_with_what_belongs_to_them_and_empty_folders_after_them) {
  ASSERT_THAT(shelf_.prepare(), IsOk());
  const auto folder = shelf_.target_folder({Pid{7}, 99});
  ASSERT_THAT(folder, IsOk());
  write(*folder + "/1.memspy", 10);
  write(*folder + "/1.memspy-wal", 5);
  write(shelf_.series_folder() + "/2.memspy", 20);
  write(shelf_.series_folder() + "/notes.txt", 20);
  SteadyTime now{1h};
  shelf_.tidy(limits(), now);
  EXPECT_EQ(shelf_.total_bytes(), 35U);
  EXPECT_EQ(shelf_.owners().at("7-99"), 15U);
  EXPECT_EQ(shelf_.newest_age({Pid{8}, 99}), std::nullopt);
  EXPECT_LT(*shelf_.newest_age({Pid{7}, 99}), 1min);
  // An hour of the steady clock later, in which only the series was written to.
  write(shelf_.series_folder() + "/2.memspy", 30);
  const auto removed = shelf_.tidy(limits(), now + 1h);
  // The log is of now by the wall clock, which is all that a log tells: it keeps its segment.
  EXPECT_EQ(removed.files, 0U);
  fs::remove(*folder + "/1.memspy-wal");
  write(*folder + "/1.memspy", 10);
  shelf_.tidy(limits(), now + 1h);
  EXPECT_EQ(shelf_.tidy(limits(), now + 100min).files, 2U);
  EXPECT_FALSE(fs::exists(*folder));
  EXPECT_TRUE(fs::exists(shelf_.series_folder() + "/notes.txt"));
}

}  // namespace
}  // namespace memspy::daemon
