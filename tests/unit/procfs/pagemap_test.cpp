#include "procfs/pagemap.h"

#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstring>

#include "support/fake_proc_dir.h"
#include "support/result_matchers.h"

namespace memspy::procfs {
namespace {

using ::memspy::testing::FakeProcDir;
using ::memspy::testing::HasErrc;
using ::memspy::testing::IsOk;

constexpr std::size_t kHugeBytes = 2U << 20;

// Anonymous memory of which a test touches what it likes.
class Area {
 public:
  explicit Area(std::size_t bytes) : size_(bytes) {
    void* at = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    EXPECT_NE(at, MAP_FAILED);
    data_ = static_cast<char*>(at);
  }
  ~Area() { ::munmap(data_, size_); }
  Area(const Area&) = delete;
  Area& operator=(const Area&) = delete;
  char* page(std::size_t i) { return data_ + i * page_size(); }
  RemoteAddr start() const { return {reinterpret_cast<std::uintptr_t>(data_)}; }

 private:
  char* data_ = nullptr;
  std::size_t size_;
};

Pagemap own_pagemap() { return Pagemap::open(ProcDir(), Pid{::getpid()}).value(); }

TEST(Pagemap, TellsTouchedPages) {
  Area area(8 * page_size());
  ::madvise(area.page(0), 8 * page_size(), MADV_NOHUGEPAGE);
  *area.page(1) = 1;
  *area.page(5) = 1;
  const auto pagemap = own_pagemap();
  std::array<std::uint64_t, 8> entries{};
  const auto got = pagemap.read(area.start() + 7, entries);
  ASSERT_THAT(got, IsOk());
  ASSERT_EQ(*got, 8U);
  for (std::size_t i = 0; i < 8; ++i) EXPECT_EQ(page_present(entries[i]), i == 1 || i == 5) << i;
  EXPECT_TRUE(page_exclusive(entries[1]));
  EXPECT_FALSE(page_file_or_shared(entries[1]));
  EXPECT_FALSE(page_swapped(entries[1]));
  ::madvise(area.page(1), page_size(), MADV_DONTNEED);
  ASSERT_THAT(pagemap.read(area.start(), entries), IsOk());
  EXPECT_FALSE(page_present(entries[1])) << "given back";
}

TEST(Pagemap, NothingBeyondTheLastAddress) {
  std::array<std::uint64_t, 4> entries{};
  EXPECT_EQ(own_pagemap().read(RemoteAddr{UINT64_MAX - 8192}, entries).value(), 0U);
}

TEST(Pagemap, OutlivesItsProcess) {
  const pid_t child = ::fork();
  if (child == 0) {
    for (;;) ::pause();
  }
  const auto pagemap = Pagemap::open(ProcDir(), Pid{child});
  ASSERT_THAT(pagemap, IsOk());
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
  std::array<std::uint64_t, 4> entries{};
  EXPECT_EQ(pagemap->read(RemoteAddr{0x400000}, entries).value(), 0U);
  EXPECT_THAT(Pagemap::open(ProcDir(), Pid{child}), HasErrc(Errc::kNoSuchProcess));
}

TEST(Pagemap, ErrorsOfOpening) {
  FakeProcDir fake;
  EXPECT_THAT(Pagemap::open(ProcDir(fake.root()), Pid{7}), HasErrc(Errc::kNoSuchProcess));
  fake.make_process(7);
  EXPECT_THAT(Pagemap::open(ProcDir(fake.root()), Pid{7}), HasErrc(Errc::kUnreadable));
}

TEST(Pagemap, ScanIsUnsupportedOnWhatIsNoPagemap) {
  FakeProcDir fake;
  fake.write(7, "pagemap", "01234567");
  const auto pagemap = Pagemap::open(ProcDir(fake.root()), Pid{7});
  ASSERT_THAT(pagemap, IsOk());
  EXPECT_THAT(pagemap->is_huge(RemoteAddr{0x1000}), HasErrc(Errc::kUnsupported));
}

TEST(Pagemap, ScanFindsRanges) {
  constexpr std::size_t kPages = 4096;
  Area area(kPages * page_size());
  ::madvise(area.page(0), kPages * page_size(), MADV_NOHUGEPAGE);
  const auto pagemap = own_pagemap();
  // Every other page: more ranges than one call returns.
  for (std::size_t i = 0; i < kPages; i += 2) *area.page(i) = 1;
  const auto end = area.start() + kPages * page_size();
  const auto ranges = pagemap.scan(area.start(), end, kPageIsPresent, kPageIsPresent);
  if (!ranges && ranges.error().code == Errc::kUnsupported) GTEST_SKIP() << "before Linux 6.7";
  ASSERT_THAT(ranges, IsOk());
  ASSERT_EQ(ranges->size(), kPages / 2);
  EXPECT_EQ(ranges->front().start, area.start());
  EXPECT_EQ(ranges->front().size(), page_size());
  for (std::size_t i = 1; i < kPages; i += 2) *area.page(i) = 1;
  const auto whole = pagemap.scan(area.start(), end, kPageIsPresent, kPageIsPresent);
  ASSERT_THAT(whole, IsOk());
  ASSERT_EQ(whole->size(), 1U);
  EXPECT_EQ((*whole)[0].end, end);
  EXPECT_FALSE(pagemap.is_huge(area.start()).value());
  EXPECT_TRUE(pagemap.scan(end, area.start(), kPageIsPresent, 0)->empty());
}

TEST(Pagemap, SeesHugePages) {
  Area area(2 * kHugeBytes);
  const std::uint64_t aligned = (area.start().value + kHugeBytes - 1) & ~(kHugeBytes - 1);
  char* at = area.page((aligned - area.start().value) / page_size());
  ::madvise(at, kHugeBytes, MADV_HUGEPAGE);
  std::memset(at, 1, kHugeBytes);
  const auto huge = own_pagemap().is_huge(RemoteAddr{aligned + 5 * page_size()});
  if (!huge.has_value()) GTEST_SKIP() << describe(huge.error());
  if (!huge.value()) GTEST_SKIP() << "the kernel had no huge page to give";
  EXPECT_FALSE(own_pagemap().is_huge(RemoteAddr{16}).value());
}

}  // namespace
}  // namespace memspy::procfs
