// On this very thread: the signal is left at its default, which is to be ignored.
#include "attach/perf_fault_event.h"

#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include "support/result_matchers.h"

namespace memspy::attach {
namespace {

using testing::IsOk;

constexpr std::size_t kFaultedPages = 256;
constexpr std::size_t kRing = 64 << 10;

std::vector<FaultRecord> records_of(PerfFaultEvent& event) {
  std::vector<FaultRecord> records;
  event.take_records([&](const FaultRecord& record) { records.push_back(record); });
  return records;
}

char* fresh_pages() {
  return static_cast<char*>(::mmap(nullptr, kFaultedPages * 4096, PROT_READ | PROT_WRITE,
                                   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
}

TEST(PerfFaultEvent, CountsEveryFaultAndKeepsAddresses) {
  auto event = PerfFaultEvent::open(Tid{::gettid()}, FaultKind::kSignalled, 4, SIGURG, kRing);
  ASSERT_THAT(event, IsOk());
  char* pages = fresh_pages();
  ASSERT_EQ(::madvise(pages, kFaultedPages * 4096, MADV_NOHUGEPAGE), 0);
  event->enable();
  for (std::size_t i = 0; i < kFaultedPages; ++i) pages[i * 4096] = 1;
  event->disable();
  const std::uint64_t count = event->take_count();
  EXPECT_GE(count, kFaultedPages);
  EXPECT_LE(count, kFaultedPages + 64);  // the test's own, more of them under a sanitizer
  EXPECT_EQ(event->take_count(), 0u);
  ASSERT_TRUE(event->has_ring());
  std::size_t ours = 0;
  const auto begin = reinterpret_cast<std::uint64_t>(pages);
  for (const FaultRecord& record : records_of(*event)) {
    ours += record.address.value >= begin && record.address.value < begin + kFaultedPages * 4096;
  }
  EXPECT_GE(ours, kFaultedPages / 4 - 4);
  EXPECT_TRUE(records_of(*event).empty());
  ::munmap(pages, kFaultedPages * 4096);
}

TEST(PerfFaultEvent, SeesFaultsInsideSystemCallsOnlyWhereAsked) {
  auto user = PerfFaultEvent::open(Tid{::gettid()}, FaultKind::kSignalled, 1U << 20, SIGURG, kRing);
  auto kernel = PerfFaultEvent::open(Tid{::gettid()}, FaultKind::kSilent, 1, 0, kRing);
  ASSERT_THAT(user, IsOk());
  ASSERT_THAT(kernel, IsOk());
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  char* pages = fresh_pages();
  const std::string text(16 * 4096, 'x');
  user->enable();
  kernel->enable();
  ASSERT_EQ(::write(ends[1], text.data(), text.size()), static_cast<ssize_t>(text.size()));
  ASSERT_EQ(::read(ends[0], pages, text.size()), static_cast<ssize_t>(text.size()));
  user->disable();
  kernel->disable();
  EXPECT_GE(kernel->take_count(), 8u);  // the kernel may map a few pages at once
  EXPECT_LE(user->take_count(), 8u);
  const auto records = records_of(*kernel);
  ASSERT_GE(records.size(), 8u);
  // The pages of the read: all of one call, whose first argument is its descriptor.
  for (const FaultRecord& record : records) {
    if (record.address.value < reinterpret_cast<std::uint64_t>(pages)) continue;
    EXPECT_EQ(record.argument, static_cast<std::uint64_t>(ends[0]));
    EXPECT_NE(record.stack, 0u);
    EXPECT_NE(record.code, 0u);
  }
  ::munmap(pages, kFaultedPages * 4096);
  ::close(ends[0]);
  ::close(ends[1]);
}

// What stands on this thread's stack is in the record of a fault taken below it.
TEST(PerfFaultEvent, ATrailHoldsTheStack) {
  auto trail = PerfFaultEvent::open(Tid{::gettid()}, FaultKind::kTrailAll, 1, 0, kRing);
  ASSERT_THAT(trail, IsOk());
  char* pages = fresh_pages();
  volatile std::uint64_t mark = 0x6d656d7370792121;
  trail->enable();
  for (std::size_t i = 0; i < 8; ++i) pages[i * 4096] = 1;
  trail->disable();
  std::size_t ours = 0;
  for (const FaultRecord& record : records_of(*trail)) {
    const auto begin = reinterpret_cast<std::uint64_t>(pages);
    if (record.address.value < begin || record.address.value >= begin + 8 * 4096) continue;
    ++ours;
    const std::uint64_t here = reinterpret_cast<std::uint64_t>(&mark);
    ASSERT_GE(here, record.stack);
    const std::size_t index = kFaultRegisters + (here - record.stack) / 8;
    ASSERT_LT(index, record.words.size());
    EXPECT_EQ(record.words[index], mark);
  }
  EXPECT_GE(ours, 1u);  // one huge page, or eight
  EXPECT_FALSE(trail->has_records());
  ::munmap(pages, kFaultedPages * 4096);
}

TEST(FaultWords, AViewInTwoPiecesIsCopiedWhole) {
  std::vector<std::uint64_t> ring{7, 8, 9, 5, 6};
  const std::span all(ring);
  const FaultWords view({1, 2, 3, 4, 5, 6}, all.subspan(3), all.first(3));
  ASSERT_EQ(view.size(), kFaultRegisters + 5);
  FaultWords kept = view;
  EXPECT_EQ(kept, view);
  ring.assign(5, 0);  // the kernel writes the next record
  EXPECT_NE(kept, view);
  const FaultWords moved = std::move(kept);
  std::vector<std::uint64_t> words;
  for (std::size_t i = 0; i < moved.size(); ++i) words.push_back(moved[i]);
  EXPECT_EQ(words, (std::vector<std::uint64_t>{1, 2, 3, 4, 5, 6, 5, 6, 7, 8, 9}));
  FaultWords assigned;
  assigned = moved;
  EXPECT_EQ(assigned, moved);
}

TEST(PerfFaultEvent, ThePeriodCanBeChanged) {
  auto event = PerfFaultEvent::open(Tid{::gettid()}, FaultKind::kSilent, 1, 0, kRing);
  ASSERT_THAT(event, IsOk());
  event->set_period(1000);
  PerfFaultEvent moved = std::move(event).value();
  PerfFaultEvent& alias = moved;
  moved = std::move(alias);
  EXPECT_TRUE(moved.has_ring());
  EXPECT_GE(moved.fd(), 0);
}

}  // namespace
}  // namespace memspy::attach
