// Each resident byte in one row: processes made by hand, whose rows are known to the byte.
#include "heap/ledger.h"

#include <gmock/gmock.h>

#include <map>
#include <numeric>

#include "heap/heap_look.h"
#include "support/malloc_image.h"
#include "support/snapshot_builder.h"

namespace memspy::heap {
namespace {

using memspy::testing::MallocImage;
using memspy::testing::SnapshotBuilder;
using ::testing::AllOf;
using ::testing::HasSubstr;
using PoolView = cpython::HeapWalker::PoolView;

constexpr std::uint64_t kArena = 0x7c0000000000, kArenaBytes = 256 << 10, kPoolBytes = 4096;
constexpr std::uint32_t kHeaderBytes = 48, kBlock = 64, kBlocks = (4096 - 48) / 64;

class LedgerTest : public ::testing::Test {
 protected:
  void add_arena() {
    map_anonymous(kArena, kArenaBytes);
    arenas_.push_back({{kArena}, kArenaBytes});
  }
  void map_anonymous(std::uint64_t start, std::uint64_t bytes, const char* path = "") {
    image_.add_mapping(start, bytes, path, true, 0);
  }
  // The first `used` blocks are in use.
  void add_pool(std::uint64_t number, std::uint32_t used) {
    pools_.push_back({kArena + number * kPoolBytes, used});
  }
  static std::uint64_t block(std::uint64_t pool, std::uint64_t block) {
    return kArena + pool * kPoolBytes + kHeaderBytes + block * kBlock;
  }

  void run(std::uint64_t rss = 0) {
    if (pages_.empty()) {
      for (const Mapping& mapping : image_.map()) pages_.push_back({mapping, mapping.size(), 0, 0});
    }
    if (resident_.empty()) {
      for (const Mapping& mapping : image_.map())
        resident_.push_back({mapping.start, mapping.size()});
    }
    snapshot_ = builder_.build();
    const SymbolSource& symbols = other_symbols_ != nullptr ? *other_symbols_ : image_.symbols();
    const auto census =
        malloc::MallocCensus::take(image_.memory(), image_.map(), symbols, resident_);
    const Ledger ledger = build_ledger({.rss_bytes = rss,
                                        .memory = image_.memory(),
                                        .symbols = symbols,
                                        .pages = pages_,
                                        .resident = resident_,
                                        .malloc = census,
                                        .graph = snapshot_.graph,
                                        .owners = &owners_,
                                        .buffers = buffers_,
                                        .arenas = arenas_,
                                        .each_pool = [&](const auto& visit) { each_pool(visit); }});
    rows_.clear();
    for (const auto& row : ledger.rows) {
      EXPECT_EQ(rows_.count(row.row), 0U) << row.row;
      rows_[row.row] = row.bytes;
      notes_[row.row] = row.note;
    }
    for (const auto& [name, value] : ledger.counters) counters_[name] = value;
    snapshot_.ledger = ledger.rows;
    snapshot_.header.counters = ledger.counters;
    std::uint64_t expected = rss;
    if (rss == 0) {
      for (const auto& page : pages_) expected += page.rss_bytes;
    }
    EXPECT_EQ(sum(), expected);
  }
  std::uint64_t sum() const {
    return std::accumulate(rows_.begin(), rows_.end(), std::uint64_t{0},
                           [](std::uint64_t s, const auto& row) { return s + row.second; });
  }
  std::uint64_t row(std::string_view name) { return rows_[std::string(name)]; }

  MallocImage image_{0, 1, true};
  const SymbolSource* other_symbols_ = nullptr;
  SnapshotBuilder builder_;
  std::vector<attach::MappedPages> pages_;
  std::vector<AddressRange> resident_, arenas_;
  std::vector<cpython::HeapWalker::OwnedBuffer> buffers_;
  snapshot::Owners owners_;
  snapshot::Snapshot snapshot_;
  std::map<std::string, std::uint64_t> rows_;
  std::map<std::string, std::string> notes_;
  std::map<std::string, double> counters_;

 private:
  void each_pool(const std::function<void(const PoolView&)>& visit) const {
    for (const auto& [address, used] : pools_) {
      const std::uint64_t bits = used >= 64 ? UINT64_MAX : (std::uint64_t{1} << used) - 1;
      visit({{address}, kPoolBytes, kHeaderBytes, kBlock, std::span(&bits, 1)});
    }
  }
  std::vector<std::pair<std::uint64_t, std::uint32_t>> pools_;
};

TEST_F(LedgerTest, BlocksOfPoolsAreTheirObjectsOrBuffersOrFree) {
  image_.end_with_top(image_.heap());
  add_arena();
  add_pool(0, 10);
  add_pool(3, 1);
  // An object behind its collector's head, one at a block's start, and an owned buffer.
  const NodeIndex list = builder_.object_at(block(0, 0) + 16, "builtins.list", 64);
  builder_.object_at(block(0, 1), "app.Rec", 64);
  builder_.object_at(block(0, 2), "app.Rec", 64);
  buffers_.push_back({{block(0, 3)}, 64, list});
  run();
  EXPECT_EQ(row("live objects: list"), 64U);
  EXPECT_EQ(row("live objects: app.Rec"), 128U);
  EXPECT_EQ(row("buffers of list"), 64U);
  EXPECT_EQ(row(kPoolOtherRow), (10U - 4) * 64 + 64);
  EXPECT_EQ(row(kPoolFreeRow), (kBlocks - 10 + kBlocks - 1) * 64);
  EXPECT_EQ(row(kPoolHeaderRow), 2 * (kPoolBytes - kBlocks * 64));
  EXPECT_EQ(row(kPoolEmptyRow), kArenaBytes - 2 * kPoolBytes);
}

TEST_F(LedgerTest, OnlyResidentBytesCount) {
  image_.end_with_top(image_.heap());
  add_arena();
  add_pool(0, 63);
  builder_.object_at(block(0, 62), "app.Rec", 64);
  for (const Mapping& mapping : image_.map()) {
    const std::uint64_t bytes = mapping.start.value == kArena ? kPoolBytes : mapping.size();
    pages_.push_back({mapping, bytes, 0, 0});
    resident_.push_back({mapping.start, bytes});
  }
  run();
  EXPECT_EQ(row("live objects: app.Rec"), 64U);
  EXPECT_EQ(row(kPoolOtherRow), 62U * 64);
  EXPECT_EQ(row(kPoolEmptyRow), 0U);
}

TEST_F(LedgerTest, ChunksOfMallocAreTheirOwnersOrNativeOrFree) {
  auto& heap = image_.heap();
  const RemoteAddr object = image_.add_chunk(heap, 0x400, true);
  const RemoteAddr items = image_.add_chunk(heap, 0x800, true);
  image_.add_chunk(heap, 0x300, true);
  image_.add_chunk(heap, 0x4000, false);
  image_.add_chunk(heap, 0x100, true);
  image_.end_with_top(heap);
  const RemoteAddr buffer = image_.add_mmapped(0x7d0000000000, 0x100000);
  const NodeIndex list = builder_.object_at(object.value, "builtins.list", 0xc00);
  const NodeIndex array = builder_.object_at(kArena, "numpy.ndarray", 0x100000);
  buffers_.push_back({buffer + 48, 0xff000, array});  // aligned within its chunk
  buffers_.push_back({items, 0x7f0, list});           // in any order
  run();
  EXPECT_EQ(row("live objects: list"), 0x400U);
  EXPECT_EQ(row("buffers of list"), 0x800U);
  EXPECT_EQ(row("buffers of numpy.ndarray"), 0x100000U);
  EXPECT_EQ(row(kMallocLiveMainRow), 0x400U);
  EXPECT_EQ(row(kMallocFreeMainRow), MallocImage::kHeapBytes - 0x400 - 0x800 - 0x400);
}

TEST_F(LedgerTest, ChunksStandInTheRowOfTheirArena) {
  auto& heap = image_.heap();
  image_.add_chunk(heap, 0x1000, true);
  image_.end_with_top(heap);
  auto arena = image_.add_thread_arena(1);
  image_.add_chunk(arena, 0x300, true);
  image_.add_chunk(arena, 0x500, false);
  image_.add_chunk(arena, 0x200, true);
  image_.end_with_top(arena);
  image_.add_mmapped(0x7d0000000000, 0x100000);
  run();
  EXPECT_EQ(row(kMallocLiveMainRow), 0x1000U);
  EXPECT_EQ(row(kMallocFreeMainRow), MallocImage::kHeapBytes - 0x1000);
  EXPECT_EQ(row(kMallocLiveThreadsRow), 0x500U);
  EXPECT_EQ(row(kMallocFreeThreadsRow) + row(kMallocHeaderRow),
            MallocImage::kThreadHeapBytes - 0x500);
  EXPECT_EQ(row(kMallocLiveMappedRow), 0x100000U);
  EXPECT_EQ(row(kUnexplainedRow), 0U);
}

TEST_F(LedgerTest, AnAllocatorThatIsNamedOwnsTheMappingsWherePythonsBlocksLie) {
  image_.end_with_top(image_.heap());
  memspy::testing::FakeModule library("/usr/lib/libjemalloc.so.2");
  memspy::testing::FakeSymbols symbols = image_.symbols();
  symbols.list.push_back(&library);
  other_symbols_ = &symbols;
  map_anonymous(0x7a0000000000, 0x10000);
  map_anonymous(0x7a0000100000, 0x8000);  // nothing of Python's: nobody can tell whose it is
  builder_.object_at(0x7a0000001000, "builtins.dict", 0x300);
  run();
  EXPECT_EQ(row("live objects: dict"), 0x300U);
  EXPECT_EQ(row("jemalloc, live and free"), 0x10000U - 0x300);
  EXPECT_THAT(notes_[std::string(kUnexplainedRow)], HasSubstr("jemalloc serves malloc here"));
  EXPECT_GE(row(kUnexplainedRow), 0x8000U);
}

TEST_F(LedgerTest, AnArenaInsideAChunkIsCountedOnce) {
  auto& heap = image_.heap();
  image_.add_chunk(heap, 0x1000 - 16, true);
  const RemoteAddr chunk = image_.add_chunk(heap, 0x42000, true);
  image_.end_with_top(heap);
  arenas_.push_back({chunk, 0x40000});
  run();
  EXPECT_EQ(row(kPoolEmptyRow), 0x40000U);
  EXPECT_EQ(row(kMallocLiveMainRow), 0x1000U - 16 + 0x2000);
}

TEST_F(LedgerTest, StacksAreFoundByTheDescriptorsAtTheirTops) {
  image_.end_with_top(image_.heap());
  constexpr std::uint64_t kStack = 0x7b0000000000, kStackBytes = 0x20000;
  map_anonymous(kStack, kStackBytes + 0x5000);  // the kernel merged what lies behind
  const RemoteAddr descriptor{kStack + kStackBytes - 0x940};
  image_.memory().write(descriptor, descriptor.value);
  image_.memory().write(descriptor + 16, descriptor.value);
  image_.memory().write(descriptor + 0x690, kStack);
  image_.memory().write(descriptor + 0x698, kStackBytes);
  map_anonymous(0x7ffc00000000, 0x21000, "[stack]");
  run();
  EXPECT_EQ(row(kStacksRow), kStackBytes + 0x21000);
  EXPECT_EQ(row(kUnexplainedRow), 0x5000U);
}

TEST_F(LedgerTest, MappingsThatNothingExplainsAreOfTheirKind) {
  image_.end_with_top(image_.heap());
  image_.add_mapping(0x7a0000000000, 0x9000, "/data/index.bin", false, 9);
  image_.add_mapping(0x7a0000100000, 0x3000, "/memfd:ring", true, 10);
  for (Mapping& mapping : image_.map()) mapping.shared = mapping.path == "/memfd:ring";
  map_anonymous(0x7a0000200000, 0x4000, "[anon:jit]");
  map_anonymous(0x7a0000300000, 0x6000);
  run();
  EXPECT_EQ(row(kFilesRow), 0x9000U);
  EXPECT_EQ(row(kSharedRow), 0x3000U);
  EXPECT_EQ(row(kAnonymousRow), 0x4000U);
  EXPECT_EQ(row(kUnexplainedRow), 0x6000U);
  EXPECT_EQ(row(kCodeRow), 0x1000U);
  EXPECT_EQ(row(kDataRow), 0x2000U);
}

TEST_F(LedgerTest, HugePagesThatNothingUsesAreSlack) {
  image_.end_with_top(image_.heap());
  map_anonymous(0x7a0000200000, 0x400000);
  for (const Mapping& mapping : image_.map()) {
    pages_.push_back({mapping, mapping.size(), 0,
                      mapping.start.value == 0x7a0000200000 ? std::uint64_t{0x200000} : 0});
  }
  run();
  EXPECT_EQ(row(kHugeRow), 0x200000U);
  EXPECT_EQ(row(kUnexplainedRow), 0x200000U);
}

TEST_F(LedgerTest, ObjectsOfAnUnknownAllocatorCountAtTheirSize) {
  image_.end_with_top(image_.heap());
  map_anonymous(0x7a0000000000, 0x10000);
  const NodeIndex dict = builder_.object_at(0x7a0000001000, "builtins.dict", 0x300);
  builder_.object_at(0x7a0000001080, "builtins.int", 0x20);  // overlaps: hostile, or torn
  buffers_.push_back({{0x7a0000002000}, 0x200, dict});
  run();
  EXPECT_EQ(row("live objects: dict"), 0x100U);
  EXPECT_EQ(row("live objects: int"), 0U);
  EXPECT_EQ(row("buffers of dict"), 0x200U);
  EXPECT_EQ(row(kUnexplainedRow), 0x10000U - 0x300);
}

TEST_F(LedgerTest, RowsSumToWhatTheKernelCounted) {
  image_.end_with_top(image_.heap());
  std::uint64_t mapped = 0;
  for (const Mapping& mapping : image_.map()) mapped += mapping.size();
  run(mapped + 4096 * 3);
  EXPECT_EQ(row(kUnexplainedRow), 4096U * 3);
  run(mapped - 4096);
  EXPECT_EQ(row(kUnexplainedRow), 0U);
}

TEST_F(LedgerTest, PinnedArenasNameWhatPinsThem) {
  image_.end_with_top(image_.heap());
  arenas_.clear();
  constexpr std::uint64_t kBytes = 64ULL << 20;
  map_anonymous(kArena, kBytes);
  for (std::uint64_t at = 0; at < kBytes; at += kArenaBytes) {
    arenas_.push_back({{kArena + at}, kArenaBytes});
    add_pool(at / kPoolBytes, 1);
    builder_.object_at(block(at / kPoolBytes, 0), "builtins.str", 64);
  }
  owners_.owners.push_back({"app.CACHE", 256, 256 * 64});
  owners_.owner_of.assign(256, 0);
  run();
  EXPECT_EQ(counters_["pinned_arenas"], 256);
  EXPECT_EQ(counters_["pinned_bytes"], static_cast<double>(kBytes - 256 * 64));
  EXPECT_THAT(notes_[std::string(kPoolEmptyRow)],
              AllOf(HasSubstr("256 arenas"), HasSubstr("256 str"), HasSubstr("app.CACHE")));
  const std::string verdict = verdict_of(snapshot_, owners_);
  EXPECT_THAT(verdict, AllOf(HasSubstr("pinned"), HasSubstr("256 str"), HasSubstr("app.CACHE")));
}

TEST_F(LedgerTest, AVerdictNamesFragmentationOfMalloc) {
  auto arena = image_.add_thread_arena(1, 48 << 20);
  image_.add_chunk(arena, 64, true);
  image_.add_chunk(arena, 40 << 20, false);
  image_.add_chunk(arena, 64, true);
  image_.end_with_top(arena);
  image_.end_with_top(image_.heap());
  run();
  EXPECT_THAT(verdict_of(snapshot_, owners_),
              AllOf(HasSubstr("malloc is fragmented"), HasSubstr("malloc_trim")));
}

TEST_F(LedgerTest, AVerdictNamesTheLargestOwner) {
  image_.end_with_top(image_.heap());
  map_anonymous(0x7a0000000000, 100 << 20);
  builder_.object_at(0x7a0000000000, "builtins.dict", 90 << 20);
  owners_.owners.push_back({"app.SESSIONS", 1, 90 << 20});
  owners_.owner_of.assign(1, 0);
  run();
  EXPECT_THAT(verdict_of(snapshot_, owners_),
              AllOf(HasSubstr("Python objects hold"), HasSubstr("app.SESSIONS")));
}

}  // namespace
}  // namespace memspy::heap
