#include "sampler/page_ledger.h"

#include <gmock/gmock.h>

#include <map>
#include <set>

namespace memspy::sampler {
namespace {

constexpr std::uint64_t kChunk = kChunkPages * kPageBytes;
constexpr LedgerOwner kRows{ThreadIndex{1}, StackId{1}};
constexpr LedgerOwner kBlobs{ThreadIndex{1}, StackId{2}};

// Page tables that a test writes.
class FakePageTables final : public PageTables {
 public:
  bool read_present(RemoteAddr start, std::vector<bool>& present) override {
    if (!readable) return false;
    for (std::size_t i = 0; i < present.size(); ++i)
      present[i] = pages.contains(start.value + i * kPageBytes);
    return true;
  }
  std::optional<bool> is_huge(RemoteAddr chunk) override { return huge.contains(chunk.value); }

  void map(std::uint64_t start, std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) pages.insert(start + i * kPageBytes);
  }
  void unmap(std::uint64_t start, std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) pages.erase(start + i * kPageBytes);
  }
  std::set<std::uint64_t> pages, huge;
  bool readable = true;
};

Mapping anonymous(std::uint64_t start, std::uint64_t size) {
  Mapping mapping;
  mapping.start = {start};
  mapping.end = {start + size};
  mapping.readable = mapping.writable = true;
  return mapping;
}

class PageLedgerTest : public ::testing::Test {
 protected:
  // Maps and touches `count` pages, one sample for every `period` of them.
  void grow(const LedgerOwner& owner, std::uint64_t start, std::size_t count,
            std::size_t period = 1) {
    for (std::size_t i = 0; i < count; ++i) {
      tables.pages.insert(start + i * kPageBytes);
      if ((i + 1) % period == 0) ledger.touch(owner, {start + i * kPageBytes}, period, map);
    }
  }
  std::map<std::uint32_t, std::int64_t> net() {
    std::map<std::uint32_t, std::int64_t> result;
    for (const auto& delta : ledger.drain()) {
      result[delta.owner.stack.value] += static_cast<std::int64_t>(delta.touched_pages) -
                                         static_cast<std::int64_t>(delta.returned_pages);
    }
    return result;
  }
  // The rows touch one page of the first chunk, which comes whole.
  void touch_a_huge_page(std::uint64_t page) {
    ledger.take_baseline(map);
    tables.map(kBase, kChunkPages);
    tables.huge.insert(kBase);
    ledger.touch(kRows, {kBase + page * kPageBytes}, 1, map);
    ledger.check_touched();
  }
  static constexpr std::uint64_t kBase = 16 * kChunk;
  FakePageTables tables;
  PageLedger ledger{tables};
  MemoryMap map = {anonymous(kBase, 64 * kChunk)};
};

TEST_F(PageLedgerTest, ChargesPagesToTheirFirstToucher) {
  ledger.take_baseline(map);
  grow(kRows, kBase, 600);
  grow(kBlobs, kBase + 10 * kChunk, 100);
  ledger.audit(map);
  EXPECT_EQ(ledger.net_pages(), 700);
  EXPECT_EQ(net(), (std::map<std::uint32_t, std::int64_t>{{1, 600}, {2, 100}}));
  EXPECT_TRUE(ledger.drain().empty());
}

TEST_F(PageLedgerTest, ReturnsPagesThatAreGone) {
  ledger.take_baseline(map);
  grow(kRows, kBase, 512, 8);
  ledger.check_touched();
  tables.unmap(kBase, 256);
  ledger.audit(map);
  EXPECT_EQ(ledger.net_pages(), 256);
  EXPECT_EQ(ledger.shrink_pages(), 0u);
}

TEST_F(PageLedgerTest, AProcessOnItsWayOutHasGivenNothingBack) {
  ledger.take_baseline(map);
  grow(kRows, kBase, 512);
  EXPECT_TRUE(ledger.audit(map));
  tables.unmap(kBase, 512);
  EXPECT_FALSE(ledger.audit({}));
  EXPECT_EQ(ledger.net_pages(), 512);
}

TEST_F(PageLedgerTest, APageTouchedAnewChangesOwner) {
  ledger.take_baseline(map);
  grow(kRows, kBase, 10);
  ledger.touch(kBlobs, {kBase}, 1, map);
  EXPECT_EQ(net(), (std::map<std::uint32_t, std::int64_t>{{1, 9}, {2, 1}}));
}

TEST_F(PageLedgerTest, WhatWasThereBeforeIsShrinkWhenItGoes) {
  tables.map(kBase, 1000);
  ledger.take_baseline(map);
  tables.unmap(kBase + 100 * kPageBytes, 50);
  ledger.audit(map);
  EXPECT_EQ(ledger.shrink_pages(), 50u);
  EXPECT_EQ(ledger.net_pages(), 0);
  grow(kRows, kBase + 100 * kPageBytes, 50);
  ledger.audit(map);
  EXPECT_EQ(ledger.net_pages(), 50);
  EXPECT_EQ(ledger.shrink_pages(), 50u);
}

TEST_F(PageLedgerTest, BaselineGivenBackAndTouchedBetweenLooksIsBoth) {
  tables.map(kBase, 10);
  ledger.take_baseline(map);
  ledger.touch(kRows, {kBase}, 1, map);
  ledger.audit(map);
  EXPECT_EQ(ledger.net_pages(), 1);
  EXPECT_EQ(ledger.shrink_pages(), 1u);
}

// Each record stands for 16 pages, and the next round's records name others.
TEST_F(PageLedgerTest, BaselineTouchedAnewOverAndOverIsShrinkOnce) {
  tables.map(kBase, kChunkPages);
  ledger.take_baseline(map);
  for (std::uint64_t round = 0; round < 10; ++round)
    grow(kRows, kBase + round * kPageBytes, kChunkPages - 16, 16);
  ledger.audit(map);
  EXPECT_LE(ledger.shrink_pages(), kChunkPages);
}

TEST_F(PageLedgerTest, CopyOnWriteMovesNothing) {
  tables.map(kBase, 10);
  ledger.take_baseline(map);
  grow(kRows, kBase + kChunk, 5);
  ledger.note_fork();
  ledger.touch(kBlobs, {kBase}, 1, map);           // of the baseline
  ledger.touch(kBlobs, {kBase + kChunk}, 1, map);  // of the rows
  EXPECT_EQ(ledger.copied_pages(), 2u);
  EXPECT_EQ(net(), (std::map<std::uint32_t, std::int64_t>{{1, 5}}));
  // The second write after the copy finds the page its own: a new fault means that it had gone.
  ledger.touch(kBlobs, {kBase + kChunk}, 1, map);
  EXPECT_EQ(net(), (std::map<std::uint32_t, std::int64_t>{{1, -1}, {2, 1}}));
}

TEST_F(PageLedgerTest, AHugePageCountsWhole) {
  touch_a_huge_page(7);
  EXPECT_EQ(ledger.net_pages(), static_cast<std::int64_t>(kChunkPages));
  EXPECT_EQ(ledger.huge_pages(), 1u);
}

// A heap that was trimmed in the middle of a huge page: the witness' own page may be among what
// went.
TEST_F(PageLedgerTest, WhatIsLeftOfAHugePageStaysWithItsOwner) {
  touch_a_huge_page(400);
  tables.huge.clear();
  tables.unmap(kBase + 300 * kPageBytes, kChunkPages - 300);
  ledger.audit(map);
  EXPECT_EQ(ledger.net_pages(), 300);
  grow(kBlobs, kBase + 300 * kPageBytes, kChunkPages - 300);
  ledger.check_touched();
  EXPECT_EQ(net(), (std::map<std::uint32_t, std::int64_t>{{1, 300}, {2, 212}}));
}

TEST_F(PageLedgerTest, AHugePageTouchedAnewHasANewOwner) {
  touch_a_huge_page(7);
  ledger.touch(kBlobs, {kBase}, 1, map);  // unmapped and mapped again since
  ledger.check_touched();
  EXPECT_EQ(ledger.net_pages(), static_cast<std::int64_t>(kChunkPages));
  EXPECT_EQ(net(), (std::map<std::uint32_t, std::int64_t>{{1, 0}, {2, 512}}));
}

// khugepaged: small pages become one, and the holes between them are filled.
TEST_F(PageLedgerTest, HolesThatTheKernelFillsAreSharedByTheNeighbours) {
  ledger.take_baseline(map);
  grow(kRows, kBase, 96);
  grow(kBlobs, kBase + 200 * kPageBytes, 32);
  ledger.check_touched();
  tables.map(kBase, kChunkPages);
  tables.huge.insert(kBase);
  ledger.audit(map);
  EXPECT_EQ(net(), (std::map<std::uint32_t, std::int64_t>{{1, 384}, {2, 128}}));
}

// A huge page that was split before anybody looked: RSS says that more came with the one fault.
TEST_F(PageLedgerTest, WhatCameWithoutAFaultBesideATouchedPageCameWithIt) {
  ledger.take_baseline(map);
  ledger.touch(kRows, {kBase + 7 * kPageBytes}, 1, map);
  tables.map(kBase, 400);
  ledger.audit(map);
  ledger.settle(400, {}, map, PageLedger::Settling::kLast);
  EXPECT_EQ(net(), (std::map<std::uint32_t, std::int64_t>{{1, 400}}));
}

// One record in three: the fault of this huge page was not among them.
TEST_F(PageLedgerTest, AHugePageThatNobodySawBelongsToItsNeighbour) {
  map = {anonymous(kBase, 64 * kChunk)};
  ledger.take_baseline(map);
  tables.map(kBase, 2 * kChunkPages);
  tables.huge.insert(kBase);
  tables.huge.insert(kBase + kChunk);
  ledger.touch(kRows, {kBase + 7 * kPageBytes}, 1, map);
  grow(kBlobs, kBase + 40 * kChunk, 100);
  ledger.audit(map);
  ledger.settle(1024 + 100, {}, map, PageLedger::Settling::kLast);
  EXPECT_EQ(net(), (std::map<std::uint32_t, std::int64_t>{{1, 1024}, {2, 100}}));
}

// Two buffers side by side: one ends where the other begins, in the middle of a chunk. A huge page
// belongs to the one whose small pages lead up to it, however much of the next the other has.
TEST_F(PageLedgerTest, AHugePageThatNobodySawBelongsToItsOwnBuffer) {
  constexpr std::uint64_t kMiddle = kBase + 200 * kPageBytes;
  map = {anonymous(kBase - kChunk, 64 * kChunk)};
  ledger.take_baseline(map);
  tables.huge.insert(kBase - kChunk);
  tables.map(kBase - kChunk, kChunkPages);
  ledger.touch(kBlobs, {kBase - kChunk}, 1, map);
  grow(kBlobs, kBase, 200);
  grow(kRows, kMiddle, kChunkPages - 200);
  for (std::uint64_t chunk = 1; chunk <= 3; ++chunk) {
    tables.map(kBase + chunk * kChunk, kChunkPages);
    tables.huge.insert(kBase + chunk * kChunk);
  }
  ledger.touch(kRows, {kBase + 3 * kChunk}, 1, map);
  ledger.audit(map);
  ledger.settle(5 * 512, {}, map, PageLedger::Settling::kLast);
  EXPECT_EQ(net(), (std::map<std::uint32_t, std::int64_t>{{1, 312 + 3 * 512}, {2, 512 + 200}}));
}

TEST_F(PageLedgerTest, AHugePageThatNobodySawBelongsToItsOwnMapping) {
  map = {anonymous(kBase, 2 * kChunk), anonymous(kBase + 2 * kChunk, kChunk)};
  ledger.take_baseline(map);
  tables.map(kBase + kChunk, kChunkPages);
  tables.huge.insert(kBase + kChunk);
  grow(kRows, kBase, 100);
  grow(kBlobs, kBase + 2 * kChunk, 100);  // right behind it
  ledger.audit(map);
  ledger.settle(512 + 200, {}, map, PageLedger::Settling::kLast);
  EXPECT_EQ(net(), (std::map<std::uint32_t, std::int64_t>{{1, 612}, {2, 100}}));
}

TEST_F(PageLedgerTest, AChunkFilledPageByPageIsNotHuge) {
  ledger.take_baseline(map);
  grow(kRows, kBase, kChunkPages);
  ledger.check_touched();
  EXPECT_EQ(ledger.net_pages(), static_cast<std::int64_t>(kChunkPages));
  EXPECT_EQ(ledger.huge_pages(), 0u);
}

TEST_F(PageLedgerTest, AFilePageBringsNoPagesOfTheMappingBesideIt) {
  // Ten pages of a file, and in the same 64 KiB six that a program touches itself.
  Mapping file = anonymous(kBase, 10 * kPageBytes);
  file.inode = 42;
  map = {file, anonymous(kBase + 10 * kPageBytes, 6 * kPageBytes)};
  grow(kRows, kBase + 10 * kPageBytes, 6);
  tables.map(kBase, 10);
  ledger.touch(kBlobs, {kBase + 3 * kPageBytes}, 1, map);
  EXPECT_EQ(net(), (std::map<std::uint32_t, std::int64_t>{{1, 6}, {2, 10}}));
}

TEST_F(PageLedgerTest, AFilePageBringsItsNeighbours) {
  map[0].inode = 42;
  ledger.take_baseline(map);
  tables.map(kBase, 16);
  ledger.touch(kRows, {kBase + 3 * kPageBytes}, 1, map);
  EXPECT_EQ(ledger.net_pages(), 16);
  ledger.touch(kBlobs, {kBase + 20 * kPageBytes}, 1, map);  // its block is not read as present yet
  EXPECT_EQ(ledger.net_pages(), 17);
}

// The same megabytes are mapped, filled and unmapped over and over, sampled one in 64: witnesses of
// old rounds look alive because the addresses are in use again.
TEST_F(PageLedgerTest, SettlesWhatChurnClaimedTwice) {
  ledger.take_baseline(map);
  grow(kRows, kBase + 8 * kChunk, 4 * kChunkPages, 64);  // really kept: 2048 pages
  for (std::size_t round = 0; round < 40; ++round) {
    for (std::size_t i = round % 64; i < 2 * kChunkPages; i += 64) {
      ledger.touch(kBlobs, {kBase + i * kPageBytes}, 64, map);
    }
  }
  tables.map(kBase, 2 * kChunkPages);
  ledger.audit(map);
  ASSERT_GT(ledger.net_pages(), 10000);
  ledger.settle(2048 + 1024, {}, map, PageLedger::Settling::kLast);
  EXPECT_EQ(ledger.net_pages(), 3072);
  EXPECT_EQ(net(), (std::map<std::uint32_t, std::int64_t>{{1, 2048}, {2, 1024}}));
}

// A buffer comes and goes, and each piece that is kept lies where it was. Of both every 13th page
// leaves a record.
TEST_F(PageLedgerTest, WhatIsKeptStaysBesideWhatChurnClaimedTwice) {
  constexpr std::size_t kPiece = 64, kPeriod = 13;
  std::size_t faults = 0;
  const auto fill = [&](const LedgerOwner& owner, std::size_t first, std::size_t count) {
    tables.map(kBase + first * kPageBytes, count);
    for (std::size_t i = 0; i < count; ++i)
      if (++faults % kPeriod == 0)
        ledger.touch(owner, {kBase + (first + i) * kPageBytes}, kPeriod, map);
  };
  ledger.take_baseline(map);
  for (std::size_t kept = 0; kept + kPiece <= kChunkPages; kept += kPiece) {
    fill(kBlobs, kept, kChunkPages - kept);
    tables.unmap(kBase + kept * kPageBytes, kChunkPages - kept);
    fill(kRows, kept, kPiece);
    if (kept % 192 != 0) continue;
    ledger.audit(map);
    ledger.settle(static_cast<std::int64_t>(kept + kPiece), {}, map, PageLedger::Settling::kGoesOn);
  }
  ledger.audit(map);
  ledger.settle(kChunkPages, {}, map, PageLedger::Settling::kLast);
  const auto pages = net();
  EXPECT_EQ(pages.at(1) + pages.at(2), 512);
  EXPECT_GT(pages.at(1), 470);
}

// realloc of a big list: mremap takes the pages elsewhere, and no fault says so.
TEST_F(PageLedgerTest, PagesThatMoveStayWithTheirOwner) {
  ledger.take_baseline(map);
  grow(kRows, kBase, 300);
  grow(kBlobs, kBase + 4 * kChunk, 100);
  net();
  tables.unmap(kBase, 300);
  tables.map(kBase + 8 * kChunk, 300);
  ledger.audit(map);
  ledger.settle(400, {}, map, PageLedger::Settling::kLast);
  EXPECT_EQ(ledger.net_pages(), 400);
  EXPECT_TRUE(net().empty());
  // …and are followed to where they are now.
  tables.unmap(kBase + 8 * kChunk, 300);
  ledger.audit(map);
  ledger.settle(100, {}, map, PageLedger::Settling::kLast);
  EXPECT_EQ(ledger.net_pages(), 100);
}

// A list that was there before: what moves of the baseline is neither shrink nor growth.
TEST_F(PageLedgerTest, BaselineThatMovesStaysBaseline) {
  using Settling = PageLedger::Settling;
  tables.map(kBase, 300);
  ledger.take_baseline(map);
  grow(kRows, kBase + 300 * kPageBytes, 100);
  net();
  tables.unmap(kBase, 400);
  tables.map(kBase + 8 * kChunk, 400);
  ledger.audit(map);
  EXPECT_EQ(ledger.shrink_pages(), 300u);
  ledger.settle(400, {}, map, Settling::kGoesOn);  // 100 of RSS and 300 of shrink
  ledger.audit(map);
  ledger.settle(400, {}, map, Settling::kGoesOn);
  EXPECT_EQ(ledger.shrink_pages(), 0u);
  EXPECT_EQ(ledger.net_pages(), 100);
  // …and is shrink when it goes for good.
  tables.unmap(kBase + 8 * kChunk, 400);
  ledger.audit(map);
  ledger.settle(300, {}, map, Settling::kLast);
  EXPECT_EQ(ledger.shrink_pages(), 300u);
  EXPECT_EQ(ledger.net_pages(), 0);
}

// Pages that turn out to be an arena's: its blocks are told by other means.
TEST_F(PageLedgerTest, WhatWasTouchedInARangeIsReassigned) {
  ledger.take_baseline(map);
  grow(kRows, kBase, 100);
  grow(kBlobs, kBase + 100 * kPageBytes, 50);
  net();
  ledger.reassign({kBase + 20 * kPageBytes}, 100 * kPageBytes, StackId{9});
  EXPECT_EQ(net(), (std::map<std::uint32_t, std::int64_t>{{1, -80}, {2, -20}, {9, 100}}));
  EXPECT_EQ(ledger.net_pages(), 150);
}

TEST_F(PageLedgerTest, WhatIsGoneForGoodIsNotRestored) {
  ledger.take_baseline(map);
  grow(kRows, kBase, 300);
  tables.unmap(kBase, 300);
  ledger.audit(map);
  ledger.settle(50, {}, map, PageLedger::Settling::kLast);  // RSS grew by something nobody has seen
  EXPECT_EQ(ledger.net_pages(), 0);
}

TEST_F(PageLedgerTest, SettleLeavesHonestSamplesAlone) {
  ledger.take_baseline(map);
  grow(kRows, kBase, 1024, 32);
  ledger.audit(map);
  ledger.settle(900, {}, map, PageLedger::Settling::kLast);  // RSS lags behind
  EXPECT_EQ(ledger.net_pages(), 1024);
}

// Claims are behind RSS for a moment; to give their pages to others would take these away at the
// end.
TEST_F(PageLedgerTest, OnlyWhatIsMissingForLongIsGivenToTheNeighbours) {
  using Settling = PageLedger::Settling;
  ledger.take_baseline(map);
  grow(kRows, kBase, 400);
  tables.map(kBase + 400 * kPageBytes, 60);
  ledger.audit(map);
  ledger.settle(460, {{kNoChunk, 60}}, map,
                Settling::kLast);  // it is known that they will be claimed
  EXPECT_EQ(ledger.net_pages(), 400);
  for (const std::int64_t limit : {430, 460, 420, 440})
    ledger.settle(limit, {}, map, Settling::kGoesOn);
  EXPECT_EQ(ledger.net_pages(), 400);
  ledger.settle(450, {}, map, Settling::kGoesOn);
  EXPECT_EQ(ledger.net_pages(), 420) << "so many were missing each time";
  ledger.settle(460, {}, map, Settling::kLast);
  EXPECT_EQ(ledger.net_pages(), 460);
}

// Its record may be on its way.
TEST_F(PageLedgerTest, AHugePageThatHasJustComeIsNobodysYet) {
  using Settling = PageLedger::Settling;
  ledger.take_baseline(map);
  grow(kRows, kBase, kChunkPages);
  tables.map(kBase + kChunk, kChunkPages);
  tables.huge.insert(kBase + kChunk);
  ledger.audit(map);
  ledger.settle(2 * kChunkPages, {}, map, Settling::kGoesOn);
  EXPECT_EQ(ledger.net_pages(), static_cast<std::int64_t>(kChunkPages));
  // Nobody has claimed it since.
  ledger.audit(map);
  ledger.settle(2 * kChunkPages, {}, map, Settling::kGoesOn);
  EXPECT_EQ(ledger.net_pages(), static_cast<std::int64_t>(2 * kChunkPages));
}

// However often one asks: its record waits until its place is known.
TEST_F(PageLedgerTest, AHugePageWhoseRecordWaitsIsNobodys) {
  using Settling = PageLedger::Settling;
  constexpr ChunkIndex kHuge = kBase / kChunk + 1;
  ledger.take_baseline(map);
  grow(kRows, kBase, kChunkPages);
  tables.map(kBase + kChunk, kChunkPages);
  tables.huge.insert(kBase + kChunk);
  for (int look = 0; look < 8; ++look) {
    ledger.audit(map);
    ledger.settle(2 * kChunkPages, {{kHuge, 1}}, map, Settling::kGoesOn);
    ASSERT_EQ(ledger.net_pages(), static_cast<std::int64_t>(kChunkPages)) << look;
  }
  ledger.touch(kBlobs, {kBase + kChunk}, 1, map);
  ledger.audit(map);
  ledger.settle(2 * kChunkPages, {}, map, Settling::kGoesOn);
  EXPECT_EQ(net(), (std::map<std::uint32_t, std::int64_t>{{1, 512}, {2, 512}}));
}

TEST_F(PageLedgerTest, SamplesWithoutAddressAreSettledInProportion) {
  ledger.touch(kRows, {}, 300, map);
  ledger.touch(kBlobs, {}, 100, map);
  ledger.settle(200, {}, map, PageLedger::Settling::kLast);
  EXPECT_EQ(net(), (std::map<std::uint32_t, std::int64_t>{{1, 150}, {2, 50}}));
}

TEST_F(PageLedgerTest, UnreadablePageTablesReturnNothing) {
  ledger.take_baseline(map);
  grow(kRows, kBase, 100);
  tables.readable = false;
  ledger.audit(map);
  ledger.check_touched();
  EXPECT_EQ(ledger.net_pages(), 100);
}

TEST_F(PageLedgerTest, StaysBoundedAndKeepsItsSum) {
  map = {anonymous(kBase, 2048 * kChunk)};
  ledger.take_baseline(map);
  const std::size_t pages = 500'000;
  for (std::size_t i = 0; i < pages; ++i)
    ledger.touch(i % 3 == 0 ? kRows : kBlobs, {kBase + i * kPageBytes}, 1, map);
  EXPECT_LE(ledger.live_samples(), kMaxLiveSamples + 1);
  EXPECT_EQ(ledger.net_pages(), static_cast<std::int64_t>(pages));
  auto sums = net();
  EXPECT_EQ(sums[1] + sums[2], static_cast<std::int64_t>(pages));
  tables.map(kBase, pages);
  ledger.audit(map);
  EXPECT_EQ(ledger.net_pages(), static_cast<std::int64_t>(pages));
}

}  // namespace
}  // namespace memspy::sampler
