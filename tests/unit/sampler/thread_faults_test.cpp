#include "sampler/thread_faults.h"

#include <gtest/gtest.h>

#include <map>

namespace memspy::sampler {
namespace {

using attach::FaultRecord;
using Mode = ThreadFaults::Mode;
constexpr auto kNoTrail = ThreadFaults::kNoTrail;

class ThreadFaultsTest : public testing::Test {
 protected:
  FaultRecord record(std::uint64_t page, std::uint64_t place = 0x5000) {
    FaultRecord result;
    result.address = {page * 4096};
    result.code = place;
    result.words = attach::FaultWords(std::vector{place});
    return result;
  }
  // A thread without Python: its records have nothing to match, and its marker is their stack.
  void be_native() {
    faults.set_native(true);
    faults.set_stack(Mode::kUser, StackId{7});
  }
  void add_pages(std::uint64_t first, std::uint64_t last) {
    for (std::uint64_t page = first; page <= last; ++page) faults.add(Mode::kUser, record(page));
  }
  // What has been pushed since the last call.
  std::vector<FaultSample> samples() {
    std::vector<FaultSample> found;
    for (const Event& event : queue.drain()) {
      if (const auto* sample = std::get_if<FaultSample>(&event)) found.push_back(*sample);
    }
    return found;
  }
  static std::uint64_t sum(const std::vector<FaultSample>& samples) {
    std::uint64_t faults = 0;
    for (const auto& sample : samples) faults += sample.faults;
    return faults;
  }

  EventQueue queue;
  StackInterner interner{queue};
  std::atomic<std::uint64_t> taken{0}, late{0};
  FaultOutlet outlet{queue, interner, taken, late};
  FaultPlaces places;
  ThreadFaults faults{outlet, places, ProcessIndex{1}, ThreadIndex{2}};
};

TEST_F(ThreadFaultsTest, WhatHasNoRecordInAThinnedTrailWaitsForTheNextOne) {
  faults.set_native(true);
  faults.set_stack(Mode::kKernel, StackId{7});
  faults.settle(Mode::kKernel, 5, 9);
  EXPECT_TRUE(samples().empty());
  faults.set_stack(Mode::kKernel, StackId{8});
  faults.add(Mode::kKernel, record(1));
  faults.settle(Mode::kKernel, 6, 9);
  const auto found = samples();
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(found[0].stack, StackId{8});
  EXPECT_EQ(found[0].faults, 9u);
  faults.settle(Mode::kKernel, 3, 9);
  faults.settle(Mode::kKernel, 0, kNoTrail);  // the end: no record will come
  EXPECT_EQ(sum(samples()), 5u);
}

TEST_F(ThreadFaultsTest, WhatAFullRingHasLostGoesWithItsLastRecord) {
  faults.set_native(true);
  faults.set_stack(Mode::kKernel, StackId{7});
  for (std::uint64_t page = 1; page <= 100; ++page) faults.add(Mode::kKernel, record(page));
  faults.set_stack(Mode::kKernel, StackId{8});
  for (std::uint64_t page = 101; page <= 120; ++page) faults.add(Mode::kKernel, record(page));
  faults.settle(Mode::kKernel, 120 * 3 + 700, 3);
  std::map<std::uint32_t, std::uint64_t> by_stack;
  for (const auto& sample : samples()) by_stack[sample.stack.value] += sample.faults;
  EXPECT_EQ(by_stack[7], 300u);
  EXPECT_EQ(by_stack[8], 60u + 700u);
}

TEST_F(ThreadFaultsTest, WithoutRecordsAllGoToTheStack) {
  faults.set_stack(Mode::kUser, StackId{7});
  faults.set_address({0x1000});
  faults.settle(Mode::kUser, 5, kNoTrail);
  const auto found = samples();
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(found[0].stack, StackId{7});
  EXPECT_EQ(found[0].faults, 5u);
  EXPECT_EQ(found[0].address, RemoteAddr{0x1000});
  EXPECT_FALSE(found[0].late);
}

TEST_F(ThreadFaultsTest, WithoutAStackNothingIsCharged) {
  faults.settle(Mode::kUser, 5, kNoTrail);
  EXPECT_TRUE(samples().empty());
}

// The page of a stop is a witness once; what is counted later has none.
TEST_F(ThreadFaultsTest, AnAddressIsUsedOnce) {
  faults.set_stack(Mode::kUser, StackId{7});
  faults.set_address({0x1000});
  faults.settle(Mode::kUser, 5, kNoTrail);
  faults.settle(Mode::kUser, 3, kNoTrail);
  const auto found = samples();
  ASSERT_EQ(found.size(), 2u);
  EXPECT_EQ(found[1].address, RemoteAddr{});
  EXPECT_EQ(found[1].faults, 3u);
}

TEST_F(ThreadFaultsTest, TheLastSettlementOwesNothing) {
  be_native();
  add_pages(1, 39);
  faults.settle(Mode::kUser, 90, kNoTrail);
  EXPECT_EQ(sum(samples()), 90u);
}

TEST_F(ThreadFaultsTest, EveryRecordIsAWitness) {
  be_native();
  add_pages(1, 4);
  faults.settle(Mode::kUser, 4, 1);
  const auto found = samples();
  ASSERT_EQ(found.size(), 4u);
  for (std::uint64_t i = 0; i < 4; ++i) {
    EXPECT_EQ(found[i].address, (RemoteAddr{(i + 1) * 4096}));
    EXPECT_EQ(found[i].faults, 1u);
  }
}

TEST_F(ThreadFaultsTest, ThinnedRecordsShareWhatWasCounted) {
  be_native();
  add_pages(1, 4);
  faults.settle(Mode::kUser, 11, kNoTrail);
  const auto found = samples();
  ASSERT_EQ(found.size(), 4u);
  EXPECT_EQ(sum(found), 11u);
}

// With -n a record says itself where a thread without Python stood.
TEST_F(ThreadFaultsTest, ANativeThreadsRecordsHaveTheStacksTheyHold) {
  ThreadFaults merged(outlet, places, ProcessIndex{1}, ThreadIndex{2},
                      [](const FaultRecord& of, const cpython::RawStack* python, bool) {
                        EXPECT_EQ(python, nullptr);
                        return StackId{static_cast<std::uint32_t>(of.code)};
                      });
  merged.set_native(true);
  merged.set_stack(Mode::kUser, StackId{7});
  merged.add(Mode::kUser, record(1, 0x5000));
  merged.add(Mode::kUser, record(2, 0x6000));
  merged.settle(Mode::kUser, 2, 1);
  const auto found = samples();
  ASSERT_EQ(found.size(), 2u);
  EXPECT_EQ(found[0].stack, StackId{0x5000});
  EXPECT_EQ(found[1].stack, StackId{0x6000});
}

// The thread runs on between the reading of the count and that of the records.
TEST_F(ThreadFaultsTest, AFaultCountedBeforeItsRecordIsReadIsChargedOnce) {
  be_native();
  faults.add(Mode::kUser, record(1));
  faults.settle(Mode::kUser, 2, 1);
  add_pages(2, 3);
  faults.settle(Mode::kUser, 1, 1);
  const auto found = samples();
  ASSERT_EQ(found.size(), 3u);
  EXPECT_EQ(sum(found), 3u);
}

TEST_F(ThreadFaultsTest, LostRecordsAreMadeUpForByTheOthers) {
  be_native();
  add_pages(1, 2);
  faults.settle(Mode::kUser, 1000, 1);
  EXPECT_EQ(sum(samples()), 1000u);
}

TEST_F(ThreadFaultsTest, CallsAndUserModeAreCountedApart) {
  be_native();
  faults.set_stack(Mode::kKernel, StackId{8});
  faults.add(Mode::kUser, record(1));
  faults.add(Mode::kKernel, record(2, 0x6000));
  faults.settle(Mode::kUser, 3, kNoTrail);
  auto found = samples();
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(found[0].stack, StackId{7});
  EXPECT_FALSE(found[0].in_kernel);
  faults.settle(Mode::kKernel, 2, kNoTrail);
  found = samples();
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(found[0].stack, StackId{8});
  EXPECT_TRUE(found[0].in_kernel);
}

// With a Python state but no knowledge of the place: records wait, and are given up with the stack
// at hand.
TEST_F(ThreadFaultsTest, RecordsThatAreGivenUpGoToTheStackAtHand) {
  faults.set_stack(Mode::kUser, StackId{7});
  faults.set_stack(Mode::kKernel, StackId{8});
  add_pages(1, 2);
  faults.add(Mode::kKernel, record(3, 0x6000));
  faults.settle(Mode::kUser, 2, 1);
  faults.settle(Mode::kKernel, 1, 1);
  EXPECT_TRUE(samples().empty());
  EXPECT_EQ(outlet.waiting, 2u);  // two of one place wait as one
  faults.give_up();
  const auto found = samples();
  ASSERT_EQ(found.size(), 3u);
  EXPECT_EQ(found[0].stack, StackId{7});
  EXPECT_FALSE(found[0].late);
  EXPECT_EQ(found[2].stack, StackId{8});
  EXPECT_TRUE(found[2].late);
  EXPECT_EQ(late.load(), 1u);
  EXPECT_EQ(outlet.waiting, 0u);
}

// RSS holds their pages already: where they lie is said, so that nobody else is charged with them.
TEST_F(ThreadFaultsTest, WhatWaitsIsAwaitedWhereItLies) {
  faults.set_stack(Mode::kUser, StackId{7});
  faults.add(Mode::kUser, record(3 * kChunkPages));
  faults.settle(Mode::kUser, 1, 1);
  std::map<ChunkIndex, std::int64_t> awaited;
  const auto take = [&] {
    for (const Event& event : queue.drain()) {
      if (const auto* more = std::get_if<FaultsAwaited>(&event)) awaited[more->chunk] += more->more;
    }
  };
  take();
  EXPECT_EQ(awaited[3], 1);
  faults.give_up();
  take();
  EXPECT_EQ(awaited[3], 0);
}

TEST_F(ThreadFaultsTest, WishesForAStopWhereManyPagesAreUnknown) {
  faults.set_stack(Mode::kUser, StackId{7});
  add_pages(1, ThreadFaults::kMuchUnknown);
  faults.settle(Mode::kUser, ThreadFaults::kMuchUnknown, 1);
  EXPECT_FALSE(faults.take_wish());
  add_pages(101, 101 + ThreadFaults::kMuchUnknown);
  faults.settle(Mode::kUser, ThreadFaults::kMuchUnknown + 1, 1);
  EXPECT_TRUE(faults.take_wish());
  EXPECT_FALSE(faults.take_wish()) << "once";
}

TEST_F(ThreadFaultsTest, TwoNeighbouringChunksInARowAreHugePages) {
  be_native();
  add_pages(1, 3 * kChunkPages);  // page by page
  EXPECT_FALSE(faults.has_huge_pages());
  faults.add(Mode::kUser, record(4 * kChunkPages));
  faults.add(Mode::kUser, record(5 * kChunkPages));
  EXPECT_TRUE(faults.has_huge_pages());
}

TEST_F(ThreadFaultsTest, WaitingIsBounded) {
  faults.set_stack(Mode::kUser, StackId{7});
  constexpr std::uint64_t kRecords = 5000;
  for (std::uint64_t i = 0; i < kRecords; ++i) faults.add(Mode::kUser, record(i, 0x5000 + i));
  faults.settle(Mode::kUser, kRecords, 1);
  EXPECT_LE(outlet.waiting, 4096u);
  const std::uint64_t early = sum(samples());
  faults.give_up();
  EXPECT_EQ(early + sum(samples()), kRecords);
}

}  // namespace
}  // namespace memspy::sampler
