// The census of real processes against what their malloc says of itself.
#include <gmock/gmock.h>

#include <iostream>

#include "malloc/malloc_census.h"
#include "malloc_child.h"

namespace memspy::malloc {
namespace {

using memspy::testing::MallocChild;

// Everything that malloc knows of itself equals what the census found of it. mallinfo2() counts the
// chunks in thread caches as used.
void expect_same_totals(const MallocChild& child, const MallocCensus& census) {
  const MallocTotals& totals = census.totals();
  for (const auto& line : totals.evidence) std::cout << line << '\n';
  EXPECT_TRUE(totals.walked);
  EXPECT_EQ(totals.rejected, 0U);
  EXPECT_EQ(totals.mmapped_chunks, child.figure("mmaps"));
  const std::uint64_t arenas = totals.live_bytes - totals.mmapped_bytes + totals.free_bytes;
  // Arena headers and the unaligned ends of pieces belong to the arenas' memory.
  EXPECT_LE(arenas, child.figure("arena"));
  EXPECT_GE(arenas + totals.overhead_bytes + 4096, child.figure("arena"));
  EXPECT_GE(totals.free_bytes, child.figure("free"));
  EXPECT_LE(totals.free_bytes - totals.cached_bytes, child.figure("free"));
}

void expect_same_chunks(const MallocChild& child, const MallocCensus& census) {
  std::size_t wrong = 0;
  std::uint64_t live = 0;
  for (const auto& [address, usable] : child.live()) {
    const auto bytes = census.chunk_bytes({address});
    const std::uint64_t overhead = bytes ? *bytes - usable : 0;
    live += bytes.value_or(0);
    if (!bytes || (overhead != 8 && overhead != 16)) ++wrong;
  }
  EXPECT_EQ(wrong, 0U) << "of " << child.live().size();
  // Besides its blocks the target holds what the C library took for itself and its threads.
  EXPECT_GE(census.totals().live_bytes, live);
  EXPECT_LE(census.totals().live_bytes, live + 64 * 1024);
}

class MallocLiveTest : public ::testing::TestWithParam<int> {};

TEST_P(MallocLiveTest, TotalsEqualWhatMallocSaysOfItself) {
  const MallocChild child({MEMSPY_MALLOC_TARGET, std::to_string(GetParam()), "20000"});
  const auto resident = child.resident();
  const auto census = MallocCensus::take(child.memory(), child.map(), child.symbols(), resident);
  EXPECT_EQ(census.totals().arenas, GetParam());
  expect_same_totals(child, census);
  expect_same_chunks(child, census);
}
INSTANTIATE_TEST_SUITE_P(Threads, MallocLiveTest, ::testing::Values(1, 2, 5));

}  // namespace
}  // namespace memspy::malloc
