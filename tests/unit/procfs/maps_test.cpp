#include "procfs/maps.h"

#include <sys/sysmacros.h>

#include <string>

#include "support/result_matchers.h"

namespace memspy::procfs {
namespace {

using ::memspy::testing::HasErrc;
using ::memspy::testing::IsOk;

TEST(Maps, ReadsEveryKindOfLine) {
  const auto map = parse_maps(
      "00400000-0041d000 r--p 00000000 fe:02 4215017                            "
      "/usr/bin/python3.11\n"
      "01a2b000-01c00000 rw-p 00000000 00:00 0                                  [heap]\n"
      "7f0000000000-7f0000001000 rw-s 00001000 103:05 77   /dev/shm/with blanks and \\012 "
      "(deleted)\n"
      "7f0000002000-7f0000003000 ---p 00000000 00:00 0 \n"
      "ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0                  [vsyscall]\n");
  ASSERT_THAT(map, IsOk());
  ASSERT_EQ(map->size(), 5U);
  const Mapping& first = (*map)[0];
  EXPECT_EQ(first.start, RemoteAddr{0x400000});
  EXPECT_EQ(first.end, RemoteAddr{0x41d000});
  EXPECT_TRUE(first.readable && !first.writable && !first.executable && !first.shared);
  EXPECT_EQ(first.device, makedev(0xfe, 2));
  EXPECT_EQ(first.inode, 4215017U);
  EXPECT_EQ(first.path, "/usr/bin/python3.11");
  EXPECT_FALSE(first.anonymous());
  EXPECT_EQ((*map)[1].path, "[heap]");
  EXPECT_TRUE((*map)[1].anonymous());
  const Mapping& shared = (*map)[2];
  EXPECT_TRUE(shared.shared && shared.deleted);
  EXPECT_EQ(shared.path, "/dev/shm/with blanks and \n");
  EXPECT_EQ(shared.offset, 0x1000U);
  EXPECT_EQ(shared.device, makedev(0x103, 5));
  EXPECT_EQ((*map)[3].path, "");
  EXPECT_FALSE((*map)[3].readable);
  EXPECT_EQ((*map)[4].start, RemoteAddr{0xffffffffff600000});
}

TEST(Maps, AProcessWithoutMemoryHasAnEmptyMap) {
  const auto map = parse_maps("");
  ASSERT_THAT(map, IsOk());
  EXPECT_TRUE(map->empty());
}

TEST(Maps, DropsALineThatWasCutShortButNoOther) {
  const auto map = parse_maps("1000-2000 r--p 00000000 00:00 0\n3000-40");
  ASSERT_THAT(map, IsOk());
  EXPECT_EQ(map->size(), 1U);
  EXPECT_THAT(parse_maps("1000-20\n3000-4000 r--p 00000000 00:00 0\n"), HasErrc(Errc::kCorrupt));
}

TEST(Maps, ATornReadIsSortedAndKeepsNoOverlap) {
  const auto map = parse_maps(
      "5000-6000 r--p 00000000 00:00 0\n1000-3000 r--p 00000000 00:00 0 /first\n"
      "2000-4000 r--p 00000000 00:00 0 /second\n4000-5000 rw-p 00000000 00:00 0\n");
  ASSERT_THAT(map, IsOk());
  ASSERT_EQ(map->size(), 3U);
  EXPECT_EQ((*map)[0].path, "/first");
  EXPECT_EQ((*map)[1].start, RemoteAddr{0x4000});
  EXPECT_EQ((*map)[2].start, RemoteAddr{0x5000});
}

TEST(Maps, RefusesNonsense) {
  for (const char* line :
       {"hello\n", "2000-1000 r--p 00000000 00:00 0\n", "1000-1000 r--p 00000000 00:00 0\n",
        "1000-2000 r--\n", "1000-2000 r--p\n", "1000-2000 r--p zz 00:00 0\n",
        "10000000000000000000-2000 r--p 0 00:00 0\n", "1000-2000 r--p 00000000 00:00 0x\n",
        "1000-2000 r--p 00000000 0000 0\n", "1000\n", "-\n"}) {
    EXPECT_THAT(parse_maps(line), HasErrc(Errc::kCorrupt)) << line;
  }
}

}  // namespace
}  // namespace memspy::procfs
