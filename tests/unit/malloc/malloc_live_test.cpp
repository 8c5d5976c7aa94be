// The census of real processes against what their malloc says of itself.
#include <gmock/gmock.h>

#include "malloc/malloc_census.h"
#include "malloc_child.h"

namespace memspy::malloc {
namespace {

using memspy::testing::MallocChild;

// Everything that malloc knows of itself equals what the census found of it. mallinfo2() counts the
// chunks in thread caches as used.
void expect_same_totals(const MallocChild& child, const MallocCensus& census) {
  const MallocTotals& totals = census.totals();
  EXPECT_TRUE(totals.walked);
  EXPECT_EQ(totals.rejected, 0U);
  EXPECT_EQ(totals.mmapped_chunks, child.figure("mmaps"));
  const std::uint64_t arenas = totals.live_bytes - totals.mmapped_bytes + totals.free_bytes;
  // Arena headers and the ends of pieces belong to the arenas' memory; what something else took
  // from brk does so only where malloc counted it.
  EXPECT_LE(arenas, child.figure("arena") + 4096);
  EXPECT_GE(
      arenas + totals.overhead_bytes + 32 * census.ranges().size() + 4096 + 1000 * (5000 / 400 + 1),
      child.figure("arena"));
  EXPECT_EQ(totals.free_bytes - totals.cached_bytes, child.figure("free"));
}

void expect_same_chunks(const MallocChild& child, const MallocCensus& census) {
  std::size_t wrong = 0;
  std::uint64_t live = 0;
  for (const auto& [address, usable] : child.live()) {
    const auto bytes = census.chunk_bytes({address});
    const std::uint64_t overhead = bytes ? *bytes - usable : 0;
    live += bytes.value_or(0);
    if (!bytes || (overhead != 8 && overhead != 16 && overhead != 24)) ++wrong;
  }
  EXPECT_EQ(wrong, 0U) << "of " << child.live().size();
  // Besides its blocks the target holds what the C library took for itself and its threads.
  EXPECT_GE(census.totals().live_bytes, live);
  EXPECT_LE(census.totals().live_bytes, live + 64 * 1024);
}

struct Target {
  const char* program;
  int threads;
  const char* brk;
};

class MallocLiveTest : public ::testing::TestWithParam<Target> {};

TEST_P(MallocLiveTest, TotalsEqualWhatMallocSaysOfItself) {
  const Target& target = GetParam();
  const MallocChild child({target.program, std::to_string(target.threads), "5000", target.brk});
  const auto resident = child.resident();
  const auto census = MallocCensus::take(child.memory(), child.map(), child.symbols(), resident);
  EXPECT_EQ(census.totals().arenas, target.threads);
  expect_same_totals(child, census);
  expect_same_chunks(child, census);
}
INSTANTIATE_TEST_SUITE_P(Targets, MallocLiveTest,
                         ::testing::Values(Target{MEMSPY_MALLOC_TARGET, 1, "plain"},
                                           Target{MEMSPY_MALLOC_TARGET, 4, "plain"},
                                           Target{MEMSPY_MALLOC_TARGET, 2, "blocked"},
                                           Target{MEMSPY_MALLOC_TARGET, 2, "shared"},
                                           Target{MEMSPY_MALLOC_TARGET_STATIC, 2, "shared"}));

}  // namespace
}  // namespace memspy::malloc
