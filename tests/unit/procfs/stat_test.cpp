#include "procfs/stat.h"

#include <unistd.h>

#include "support/result_matchers.h"

namespace memspy::procfs {
namespace {

using ::memspy::testing::HasErrc;
using ::memspy::testing::IsOk;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr std::string_view kTail =
    " S 40 41 42 34816 41 4194304 1234 99 7 8 250 51 0 0 20 0 9 0 987654 104857600 2560"
    " 18446744073709551615 1 1 0 0 0 0 0 16781312 2 0 0 0 17 3 0 0 0 0 0 0 0 0 0 0 0 0 0\n";

TEST(Stat, ReadsTheFieldsMemspyNeeds) {
  const auto stat = parse_stat("4242 (python3)" + std::string(kTail));
  ASSERT_THAT(stat, IsOk());
  EXPECT_EQ(stat->pid, Pid{4242});
  EXPECT_EQ(stat->comm, "python3");
  EXPECT_EQ(stat->state, 'S');
  EXPECT_EQ(stat->ppid, Pid{40});
  EXPECT_EQ(stat->pgrp, Pid{41});
  EXPECT_EQ(stat->session, Pid{42});
  EXPECT_EQ(stat->minor_faults, 1234U);
  EXPECT_EQ(stat->major_faults, 7U);
  EXPECT_EQ(stat->user_ticks, 250U);
  EXPECT_EQ(stat->system_ticks, 51U);
  EXPECT_EQ(stat->threads, 9U);
  EXPECT_EQ(stat->start_ticks, 987654U);
  EXPECT_EQ(stat->vsize_bytes, 104857600U);
  EXPECT_EQ(stat->rss_pages, 2560U);
  EXPECT_EQ(stat->processor, 3);
  EXPECT_FALSE(stat->kernel_thread() || stat->zombie() || stat->job_stopped());
}

TEST(Stat, TheNameMayHoldAnything) {
  for (const std::string name : {"", ") S 1 2 3", "a b (c) (", "((((", "x\ny", ")"}) {
    const auto stat = parse_stat("7 (" + name + ")" + std::string(kTail));
    ASSERT_THAT(stat, IsOk());
    EXPECT_EQ(stat->comm, name);
    EXPECT_EQ(stat->ppid, Pid{40});
  }
}

TEST(Stat, KnowsKernelThreadsAndZombies) {
  const auto kthread = parse_stat(
      "2 (kthreadd) S 0 0 0 0 -1 2129984 0 0 0 0 0 0 0 0 20 0 1 0 28 0 0 18446744073709551615 0 0 "
      "0 0 0");
  ASSERT_THAT(kthread, IsOk());
  EXPECT_TRUE(kthread->kernel_thread());
  EXPECT_EQ(kthread->processor, -1) << "cut off before field 39";
  const auto zombie =
      parse_stat("9 (defunct) Z 1 9 9 0 -1 4227084 0 0 0 0 0 0 0 0 20 0 1 0 28 0 0");
  ASSERT_THAT(zombie, IsOk());
  EXPECT_TRUE(zombie->zombie());
}

TEST(Stat, RefusesWhatIsCutShort) {
  const std::string whole = "4242 (python3)" + std::string(kTail);
  for (const std::size_t length : {0U, 3U, 5U, 10U, 14U, 16U, 20U, 60U}) {
    EXPECT_THAT(parse_stat(std::string_view(whole).substr(0, length)), HasErrc(Errc::kCorrupt))
        << length;
  }
  EXPECT_THAT(parse_stat("12 )x( S 1 2 3"), HasErrc(Errc::kCorrupt));
  EXPECT_THAT(parse_stat("99999999999999 (x) S 1"), HasErrc(Errc::kCorrupt));
}

TEST(Statm, CountsPages) {
  const auto statm = parse_statm("25600 2560 1024 1 0 1536 0\n");
  ASSERT_THAT(statm, IsOk());
  EXPECT_EQ(statm->resident_pages, 2560U);
  EXPECT_EQ(statm->shared_pages, 1024U);
  EXPECT_EQ(statm->data_pages, 1536U);
  EXPECT_EQ(statm->rss_bytes(), 2560U * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE)));
  EXPECT_THAT(parse_statm(""), HasErrc(Errc::kCorrupt));
  EXPECT_THAT(parse_statm("1 2 3\n"), HasErrc(Errc::kCorrupt));
  EXPECT_THAT(parse_statm("a b c d e f"), HasErrc(Errc::kCorrupt));
}

TEST(Cmdline, SplitsArguments) {
  using namespace std::string_view_literals;
  EXPECT_THAT(parse_cmdline("python3\0-c\0\0"sv), ElementsAre("python3", "-c", ""));
  EXPECT_THAT(parse_cmdline("python3\0"sv), ElementsAre("python3"));
  EXPECT_THAT(parse_cmdline(""sv), IsEmpty());
  EXPECT_THAT(parse_cmdline("\0"sv), IsEmpty());
  // Titles set by setproctitle: padded with NULs or blanks, or without any end.
  EXPECT_THAT(parse_cmdline("gunicorn: worker [app]\0\0\0\0"sv),
              ElementsAre("gunicorn: worker [app]"));
  EXPECT_THAT(parse_cmdline("gunicorn: worker [app]   "sv), ElementsAre("gunicorn: worker [app]"));
}

}  // namespace
}  // namespace memspy::procfs
