#include "procfs/status.h"

#include <csignal>

#include "procfs/smaps_rollup.h"
#include "support/result_matchers.h"

namespace memspy::procfs {
namespace {

using ::memspy::testing::HasErrc;
using ::memspy::testing::IsOk;
using ::testing::ElementsAre;

constexpr std::string_view kCaptured =
    "Name:\tpython3\nUmask:\t0022\nState:\tS (sleeping)\nTgid:\t10194\nNgid:\t0\nPid:\t10195\n"
    "PPid:\t10190\nTracerPid:\t77\nUid:\t1000\t1001\t1002\t1003\nGid:\t5\t6\t7\t8\nFDSize:\t256\n"
    "Groups:\t4 24 27 \nNStgid:\t10194\t12\nNSpid:\t10195\t13\nNSpgid:\t10190\nNSsid:\t8405\n"
    "Kthread:\t0\nVmPeak:\t    3064 kB\nVmSize:\t    3060 kB\nVmLck:\t       0 kB\n"
    "VmHWM:\t    1725 kB\nVmRSS:\t    1724 kB\nRssAnon:\t     112 kB\nRssFile:\t    1612 kB\n"
    "RssShmem:\t       3 kB\nVmData:\t     360 kB\nVmSwap:\t       9 kB\nTHP_enabled:\t1\n"
    "Threads:\t4\nSigQ:\t0/96365\nSigPnd:\t0000000000000001\nShdPnd:\t0000000000000200\n"
    "SigBlk:\t0000000000400000\nSigIgn:\t0000000001001000\nSigCgt:\t8000000000000002\n"
    "CapInh:\t0000000000000000\nCapPrm:\t000001fffeffffff\nCapEff:\t0000000000080000\n"
    "CapBnd:\t000001fffeffffff\nNoNewPrivs:\t1\nSeccomp:\t2\nSeccomp_filters:\t1\n";

TEST(Status, ReadsACapturedFile) {
  const auto s = parse_status(kCaptured);
  ASSERT_THAT(s, IsOk());
  EXPECT_EQ(s->name, "python3");
  EXPECT_EQ(s->state, 'S');
  EXPECT_EQ(s->tgid, Pid{10194});
  EXPECT_EQ(s->pid, Pid{10195});
  EXPECT_EQ(s->ppid, Pid{10190});
  EXPECT_EQ(s->tracer, Pid{77});
  EXPECT_EQ(s->uid.real, 1000U);
  EXPECT_EQ(s->uid.effective, 1001U);
  EXPECT_EQ(s->uid.filesystem, 1003U);
  EXPECT_EQ(s->gid.saved, 7U);
  EXPECT_THAT(s->ns_pids, ElementsAre(10195, 13));
  EXPECT_EQ(s->vm_hwm_bytes, 1725U * 1024);
  EXPECT_EQ(s->vm_rss_bytes, 1724U * 1024);
  EXPECT_EQ(s->rss_anon_bytes, 112U * 1024);
  EXPECT_EQ(s->rss_file_bytes, 1612U * 1024);
  EXPECT_EQ(s->rss_shmem_bytes, 3U * 1024);
  EXPECT_EQ(s->vm_swap_bytes, 9U * 1024);
  EXPECT_EQ(s->threads, 4U);
  EXPECT_EQ(s->thp_enabled, true);
  EXPECT_TRUE(s->sig_pending.contains(SIGHUP));
  EXPECT_TRUE(s->sig_shared_pending.contains(SIGUSR1));
  EXPECT_TRUE(s->sig_blocked.contains(SIGURG));
  EXPECT_TRUE(s->sig_caught.contains(SIGINT));
  EXPECT_TRUE(s->sig_caught.contains(64));
  EXPECT_FALSE(s->sig_caught.contains(SIGURG));
  EXPECT_FALSE(s->sig_caught.contains(0));
  EXPECT_FALSE(s->sig_caught.contains(65));
  EXPECT_TRUE(s->has_capability(19)) << "CAP_SYS_PTRACE";
  EXPECT_FALSE(s->has_capability(38));
  EXPECT_TRUE(s->no_new_privs);
  EXPECT_EQ(s->seccomp, 2);
  EXPECT_EQ(s->seccomp_filters, 1U);
}

TEST(Status, WhatAKernelDoesNotPrintIsAbsent) {
  const auto s = parse_status("Name:\tkthreadd\nState:\tS (sleeping)\nPid:\t2\n");
  ASSERT_THAT(s, IsOk());
  EXPECT_EQ(s->vm_rss_bytes, std::nullopt);
  EXPECT_EQ(s->rss_anon_bytes, std::nullopt);
  EXPECT_EQ(s->seccomp_filters, std::nullopt);
  EXPECT_TRUE(s->ns_pids.empty());
}

TEST(Status, SkipsHostileLinesAndRefusesNonsense) {
  const auto s = parse_status(
      "Name:\t\nState:\tZ (zombie)\nPid:\t5\nVmRSS:\t99999999999999999999 kB\nVmHWM:\t-3 kB\n"
      "Uid:\t1\nNSpid:\tx y 7\nSigCgt:\tzz\n:::\nVmRSS\n\n");
  ASSERT_THAT(s, IsOk());
  EXPECT_TRUE(s->zombie());
  EXPECT_EQ(s->vm_rss_bytes, std::nullopt);
  EXPECT_EQ(s->vm_hwm_bytes, std::nullopt);
  EXPECT_THAT(s->ns_pids, ElementsAre(7));
  EXPECT_THAT(parse_status(""), HasErrc(Errc::kCorrupt));
  EXPECT_THAT(parse_status("Name:\tx\nPid:\t3\n"), HasErrc(Errc::kCorrupt));
  EXPECT_THAT(parse_status("Name:\tx\nState:\tS\nPid:\t-3\n"), HasErrc(Errc::kCorrupt));
}

TEST(SmapsRollup, SumsUpPrivateMemory) {
  const auto r = parse_smaps_rollup(
      "55dec9720000-7ffd0f1d6000 ---p 00000000 00:00 0                          [rollup]\n"
      "Rss:                1700 kB\nPss:                 300 kB\nPss_Dirty:           120 kB\n"
      "Shared_Clean:       1500 kB\nShared_Dirty:          0 kB\nPrivate_Clean:        80 kB\n"
      "Private_Dirty:       120 kB\nReferenced:         1700 kB\nAnonymous:           110 kB\n"
      "LazyFree:              4 kB\nAnonHugePages:      2048 kB\nSwap:                 12 kB\n"
      "SwapPss:               6 kB\nLocked:                0 kB\n");
  ASSERT_THAT(r, IsOk());
  EXPECT_EQ(r->rss_bytes, 1700U * 1024);
  EXPECT_EQ(r->pss_bytes, 300U * 1024);
  EXPECT_EQ(r->uss_bytes(), 200U * 1024);
  EXPECT_EQ(r->anon_huge_bytes, 2048U * 1024);
  EXPECT_EQ(r->lazy_free_bytes, 4U * 1024);
  EXPECT_EQ(r->swap_pss_bytes, 6U * 1024);
}

TEST(SmapsRollup, EmptyIsNoMemoryAndNonsenseIsCorrupt) {
  EXPECT_THAT(parse_smaps_rollup(""), HasErrc(Errc::kUnsupported));
  EXPECT_THAT(parse_smaps_rollup("Pss: 4 kB\n"), HasErrc(Errc::kCorrupt));
  EXPECT_THAT(parse_smaps_rollup("Rss: 99999999999999999999 kB\n"), HasErrc(Errc::kCorrupt));
}

}  // namespace
}  // namespace memspy::procfs
