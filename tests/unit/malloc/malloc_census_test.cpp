// Heaps written by hand: what every layout of glibc looks like, and what a census makes of damage.
#include "malloc/malloc_census.h"

#include <gmock/gmock.h>

#include "support/malloc_image.h"

namespace memspy::malloc {
namespace {

using memspy::testing::FakeModule;
using memspy::testing::FakeSymbols;
using memspy::testing::MallocImage;

MallocCensus census_of(MallocImage& image, std::span<const AddressRange> resident = {}) {
  return MallocCensus::take(image.memory(), image.map(), image.symbols(), resident);
}

struct Version {
  std::size_t arena, cache;
  bool mangled;
};

class MallocLayoutTest : public ::testing::TestWithParam<Version> {
 protected:
  MallocImage image_{GetParam().arena, GetParam().cache, GetParam().mangled};
};

TEST_P(MallocLayoutTest, EveryChunkIsFoundOnceAndInUseOrFree) {
  auto& heap = image_.heap();
  const RemoteAddr live = image_.add_chunk(heap, 64, true);
  const RemoteAddr binned = image_.add_chunk(heap, 4096 * 3, false);
  const RemoteAddr behind = image_.add_chunk(heap, 0x420, true);
  const RemoteAddr cached = image_.add_chunk(heap, 48, true);
  const RemoteAddr cached_too = image_.add_chunk(heap, 48, true);
  image_.add_cache(heap, {cached, cached_too});
  image_.end_with_top(heap);
  auto arena = image_.add_thread_arena(1);
  const RemoteAddr other = image_.add_chunk(arena, 128, true);
  image_.end_with_top(arena);
  const RemoteAddr large = image_.add_mmapped(0x7d0000000000, 0x40000);
  const RemoteAddr aligned = image_.add_mmapped(0x7d0000100000, 0x40000, 48);

  const MallocCensus census = census_of(image_);
  const MallocTotals& totals = census.totals();
  EXPECT_TRUE(totals.walked);
  EXPECT_EQ(totals.rejected, 0U);
  EXPECT_EQ(totals.arenas, 2U);
  EXPECT_EQ(totals.mmapped_chunks, 2U);
  EXPECT_EQ(census.chunk_bytes(live), 64U);
  EXPECT_EQ(census.chunk_bytes(behind), 0x420U);
  EXPECT_EQ(census.chunk_bytes(other), 128U);
  EXPECT_EQ(census.chunk_bytes(large), 0x40000U);
  EXPECT_EQ(census.chunk_bytes(aligned), 0x40000U - 48);
  for (const RemoteAddr freed : {binned, cached, cached_too}) {
    EXPECT_EQ(census.chunk_bytes(freed), std::nullopt);
    EXPECT_FALSE(census.chunk_of(freed)->in_use);
  }
  EXPECT_EQ(census.chunk_bytes(live + 16), std::nullopt);
  EXPECT_EQ(census.chunk_of(live + 20)->address, live - 16);
  EXPECT_EQ(totals.cached_bytes, 96U);
  std::uint64_t bytes = totals.overhead_bytes;
  census.for_each_chunk([&](RemoteAddr, std::uint64_t size, bool) { bytes += size; });
  EXPECT_EQ(bytes, MallocImage::kHeapBytes + MallocImage::kThreadHeapBytes + 0x80000);
}

std::string version_name(const ::testing::TestParamInfo<Version>& version) {
  static constexpr const char* kNames[] = {"2_26", "2_28", "2_31", "2_36", "2_42", "2_43"};
  return kNames[version.index];
}
INSTANTIATE_TEST_SUITE_P(Glibc, MallocLayoutTest,
                         ::testing::Values(Version{2, 0, false}, Version{0, 0, false},
                                           Version{0, 1, false}, Version{0, 1, true},
                                           Version{0, 2, true}, Version{1, 2, true}),
                         version_name);

class MallocCensusTest : public ::testing::Test {
 protected:
  MallocImage image_{0, 1, true};
};

TEST_F(MallocCensusTest, FastBinsAreFree) {
  auto& heap = image_.heap();
  const RemoteAddr first = image_.add_chunk(heap, 64, true);
  const RemoteAddr live = image_.add_chunk(heap, 64, true);
  const RemoteAddr second = image_.add_chunk(heap, 64, true);
  image_.end_with_top(heap);
  image_.push_fast(image_.main_arena().value, first);
  image_.push_fast(image_.main_arena().value, second);
  const MallocCensus census = census_of(image_);
  EXPECT_EQ(census.chunk_bytes(first), std::nullopt);
  EXPECT_EQ(census.chunk_bytes(second), std::nullopt);
  EXPECT_EQ(census.chunk_bytes(live), 64U);
  EXPECT_EQ(census.totals().live_bytes, 64U);
}

TEST_F(MallocCensusTest, WholeFreePagesAreTrimmableWhenResident) {
  auto& heap = image_.heap();
  image_.add_chunk(heap, 0x1000 - 32, true);
  const RemoteAddr free = image_.add_chunk(heap, 0x5000, false);
  image_.add_chunk(heap, 64, true);
  image_.end_with_top(heap);
  // Of the five pages' worth, the list pointers' page and a part at the end do not count.
  const AddressRange resident[] = {{{MallocImage::kHeap}, 0x4000}};
  const MallocCensus all = census_of(image_);
  const MallocCensus some = census_of(image_, resident);
  const std::uint64_t first = (free.value + 32 + 0xfff) & ~std::uint64_t{0xfff};
  EXPECT_EQ(some.totals().trimmable_bytes, MallocImage::kHeap + 0x4000 - first);
  EXPECT_GT(all.totals().trimmable_bytes, some.totals().trimmable_bytes);
}

TEST_F(MallocCensusTest, WhatLiesBeforeAndBetweenMallocsMemoryIsSteppedOver) {
  auto& heap = image_.heap();
  heap.at += 0x730;  // a static program's thread block
  image_.add_chunk(heap, 64, true);
  image_.end_with_fence(heap);
  heap.at += 0x3f0;  // taken from brk by something else
  heap.previous_used = true;
  const RemoteAddr behind = image_.add_chunk(heap, 64, true);
  image_.end_with_top(heap);
  const MallocCensus census = census_of(image_);
  EXPECT_EQ(census.chunk_bytes(behind), 64U);
  EXPECT_EQ(census.totals().rejected, 0U);
  EXPECT_EQ(census.totals().chunks, 3U);
}

TEST_F(MallocCensusTest, AContradictionIsCountedAndTheRestIsStillWalked) {
  auto& heap = image_.heap();
  for (int i = 0; i < 100; ++i) image_.add_chunk(heap, 64, true);
  const RemoteAddr damaged = image_.add_chunk(heap, 64, true);
  std::vector<RemoteAddr> behind;
  for (int i = 0; i < 100; ++i) behind.push_back(image_.add_chunk(heap, 64, true));
  image_.end_with_top(heap);
  image_.memory().write(damaged - 8, std::uint64_t{0xdeadbeef0001});
  const MallocCensus census = census_of(image_);
  EXPECT_EQ(census.totals().rejected, 1U);
  EXPECT_EQ(census.chunk_bytes(damaged), std::nullopt);
  for (const RemoteAddr chunk : behind) EXPECT_EQ(census.chunk_bytes(chunk), 64U);
}

TEST_F(MallocCensusTest, ListsThatRunInCirclesEnd) {
  auto& heap = image_.heap();
  const RemoteAddr one = image_.add_chunk(heap, 64, true);
  image_.end_with_top(heap);
  image_.push_fast(image_.main_arena().value, one);
  image_.push_fast(image_.main_arena().value, one);
  image_.memory().write(one, reveal(one.value, one.value - 16));
  const MallocCensus census = census_of(image_);
  EXPECT_EQ(census.totals().rejected, 1U);
  EXPECT_EQ(census.totals().live_bytes, 0U);
}

TEST_F(MallocCensusTest, AnArenaWhoseCircleIsBrokenIsNone) {
  image_.end_with_top(image_.heap());
  image_.memory().write(image_.main_arena() + image_.layout().next, MallocImage::kHeap + 64);
  const MallocCensus census = census_of(image_);
  EXPECT_FALSE(census.totals().walked);
  EXPECT_EQ(census.totals().allocator, "unknown");
}

TEST_F(MallocCensusTest, OtherAllocatorsAreNamed) {
  image_.end_with_top(image_.heap());
  FakeModule program("/opt/server");
  FakeModule library("/usr/lib/x86_64-linux-gnu/libjemalloc.so.2");
  FakeSymbols symbols;
  symbols.list = {&program, &image_.module(), &library};
  const auto census = MallocCensus::take(image_.memory(), image_.map(), symbols);
  EXPECT_EQ(census.totals().allocator, "jemalloc");
  EXPECT_FALSE(census.totals().walked);
  program.symbols["tc_malloc"] = {0x1000};
  symbols.list = {&program};
  EXPECT_EQ(MallocCensus::take(image_.memory(), image_.map(), symbols).totals().allocator,
            "tcmalloc");
}

TEST_F(MallocCensusTest, TheVersionIsReadFromTheLibrary) {
  image_.end_with_top(image_.heap());
  constexpr std::string_view kBanner =
      "GNU C Library (Some GLIBC 2.31-13) stable release version 2.31.\n";
  image_.memory().write_bytes({MallocImage::kText + 100}, std::as_bytes(std::span(kBanner)));
  EXPECT_EQ(census_of(image_).totals().allocator, "glibc 2.31");
}

}  // namespace
}  // namespace memspy::malloc
