// tracemalloc's tables of fake processes of every version, sound, torn and hostile.
#include "cpython/layouts.h"
#include "cpython/traces/read_traces.h"
#include "support/result_matchers.h"
#include "support/trace_image.h"

namespace memspy::cpython {
namespace {

using testing::HasErrc;
using ::testing::HasSubstr;
using testing::IsOk;
using testing::PyProcess;
using testing::TraceImage;

constexpr RemoteAddr kBlock{0x7f3000001000};
constexpr RemoteAddr kNowhere{0x7f9000000000};  // mapped by nobody

class EveryTable : public ::testing::TestWithParam<int> {
 protected:
  Result<std::optional<TraceTable>> try_read(TraceImage& image) {
    const Interpreter interpreter = image.open();
    const MemoryMap map = image.map();
    return read_traces({interpreter, process_.memory(), map, process_.symbols()}, &evidence_);
  }
  TraceTable must_read(TraceImage& image) {
    auto table = try_read(image);
    if (!table) throw std::runtime_error(describe(table.error()));
    if (!*table) throw std::runtime_error("off: " + evidence_);
    return std::move(**table);
  }
  // A hundred blocks by two stacks.
  void fill(TraceImage& image) {
    app_ = image.add_stack({{"/srv/dépôt/app.py", 12}, {"/srv/main.py", 3}}, 40);
    other_ = image.add_stack({{"<unknown>", 0}});
    for (std::uint64_t i = 0; i < 100; ++i)
      entries_.push_back(image.add(kBlock + 0x70 * i, 10 + i, i % 4 == 0 ? other_ : app_));
  }
  testing::PyImageBuilder& builder() { return process_.image(); }
  Layout layout_ = *layout_for(GetParam());
  PyProcess process_{layout_};
  RemoteAddr app_, other_;
  std::vector<RemoteAddr> entries_;
  std::string evidence_;
};
INSTANTIATE_TEST_SUITE_P(Minor, EveryTable, ::testing::Range(6, 16));

TEST_P(EveryTable, EveryTraceIsRead) {
  TraceImage image(process_);
  fill(image);
  const TraceTable table = must_read(image);
  EXPECT_FALSE(table.damage.any());
  EXPECT_EQ(table.claimed, 100u);
  ASSERT_EQ(table.traces.size(), 100u);
  EXPECT_EQ(table.traced_bytes, image.total());
  EXPECT_EQ(table.current_bytes, image.total());
  EXPECT_EQ(table.peak_bytes, image.peak());
  EXPECT_EQ(table.frame_limit, 25u);
  EXPECT_EQ(table.stacks.size(), 2u);
  for (const Trace& trace : table.traces) {
    const std::uint64_t i = (trace.block.value - kBlock.value) / 0x70;
    EXPECT_EQ(trace.bytes, 10 + i);
    EXPECT_EQ(trace.domain, 0u);
    const TraceStack& stack = table.stacks[trace.stack];
    const auto frames = table.frames_of(stack);
    ASSERT_EQ(frames.size(), i % 4 == 0 ? 1u : 2u);
    EXPECT_EQ(table.files[frames[0].file], i % 4 == 0 ? "<unknown>" : "/srv/dépôt/app.py");
    EXPECT_EQ(frames[0].line, i % 4 == 0 ? 0u : 12u);
    if (i % 4 == 0) continue;
    EXPECT_EQ(table.files[frames[1].file], "/srv/main.py");
    EXPECT_EQ(stack.depth, layout_.has(Field::kTraceStackTotal) ? 40u : 0u);
  }
}

TEST_P(EveryTable, IsFoundWithoutNames) {
  TraceImage image(process_);
  fill(image);
  image.add(kBlock + 0x100000, 5000, app_, layout_.minor < 9 ? 0 : 7);
  image.strip();
  const TraceTable table = must_read(image);
  EXPECT_THAT(table.found_by, HasSubstr(layout_.minor < 12 ? "scan" : "search"));
  EXPECT_EQ(table.traces.size(), 101u);
  EXPECT_EQ(table.traced_bytes, image.total());
  EXPECT_EQ(table.current_bytes, image.total());
  EXPECT_EQ(table.peak_bytes, image.peak());
  EXPECT_EQ(table.frame_limit, layout_.minor < 12 ? 0u : 25u);
}

TEST_P(EveryTable, OtherDomainsCount) {
  TraceImage image(process_, 64, /*long_keys=*/layout_.minor < 9);
  fill(image);
  for (std::uint64_t i = 0; i < 10; ++i) image.add(kBlock + 0x70 * i, 1000, app_, 7);
  image.add(kBlock, 5000, app_, 0xfffffff0);
  const TraceTable table = must_read(image);
  EXPECT_FALSE(table.damage.any());
  EXPECT_EQ(table.traces.size(), 111u);
  EXPECT_EQ(table.traced_bytes, image.total());
  std::uint64_t seventh = 0;
  for (const Trace& trace : table.traces) seventh += trace.domain == 7 ? trace.bytes : 0;
  EXPECT_EQ(seventh, 10000u);
}

TEST_P(EveryTable, OffIsNoError) {
  TraceImage image(process_);
  image.set_tracing(false);
  auto table = try_read(image);
  ASSERT_THAT(table, IsOk());
  EXPECT_FALSE(table->has_value());
  fill(image);  // what is left of an earlier time
  EXPECT_FALSE(try_read(image)->has_value());
  EXPECT_THAT(evidence_, HasSubstr("setting"));
  image.strip();
  image.set_tracing(false);
  if (layout_.minor >= 12) {
    EXPECT_FALSE(try_read(image)->has_value());
  }
}

TEST_P(EveryTable, ATableMayBeEmpty) {
  TraceImage image(process_);
  EXPECT_EQ(must_read(image).traces.size(), 0u);
  image.strip();  // then nothing tells it from any other
  EXPECT_FALSE(try_read(image)->has_value());
}

TEST_P(EveryTable, AllMayShareOneChain) {
  TraceImage image(process_);
  const RemoteAddr stack = image.add_stack({{"a.py", 1}});
  constexpr std::uint64_t kStride = 64 * 16;  // as many buckets, and four bits that do not count
  for (std::uint64_t i = 0; i < 2000; ++i) image.add(kBlock + kStride * i, 1, stack);
  const TraceTable table = must_read(image);
  EXPECT_FALSE(table.damage.any());
  EXPECT_EQ(table.traces.size(), 2000u);
}

TEST_P(EveryTable, ARingEnds) {
  for (const std::uint64_t length : {std::uint64_t{1}, std::uint64_t{5}, std::uint64_t{100}}) {
    PyProcess process(layout_);
    TraceImage image(process);
    const RemoteAddr stack = image.add_stack({{"a.py", 1}});
    std::vector<RemoteAddr> chain;
    for (std::uint64_t i = 0; i < 200; ++i)  // enough that most are in order
      image.add(kBlock + 0x70 * i, 1, stack);
    for (std::uint64_t i = 0; i < length; ++i)
      chain.push_back(image.add(kBlock + 0x1000000 + 64 * 16 * i, 1, stack));
    // The newest comes first, and the one that was linked first leads back to it.
    process.image().put(chain.front(), Field::kHashtableEntryNext, chain.back().value);
    const Interpreter interpreter = image.open();
    const MemoryMap map = image.map();
    const auto table = read_traces({interpreter, process.memory(), map, process.symbols()});
    ASSERT_THAT(table, IsOk());
    ASSERT_TRUE(table->has_value());
    EXPECT_EQ((*table)->damage.broken_chains, 1u);
    EXPECT_GE((*table)->traces.size(), length + 190);
    EXPECT_EQ((*table)->traces.size() + (*table)->damage.missing, 200 + length);
  }
}

TEST_P(EveryTable, AChainThatLeadsIntoAnotherIsCut) {
  TraceImage image(process_);
  fill(image);
  // All of one bucket are reached from another one's as well: nothing may count twice.
  const std::uint64_t from = image.bucket_of(kBlock), to = image.bucket_of(kBlock + 0x70);
  ASSERT_NE(from, to);
  const auto first = read<std::uint64_t>(process_.memory(), image.bucket(to));
  process_.memory().write(image.bucket(from), *first);
  const TraceTable table = must_read(image);
  EXPECT_EQ(table.damage.broken_chains, 1u);
  EXPECT_LT(table.traces.size(), 100u);
  EXPECT_EQ(table.traces.size() + table.damage.missing, 100u);
  EXPECT_LT(table.traced_bytes, image.total());
}

TEST_P(EveryTable, TornPointersAreCounted) {
  TraceImage image(process_);
  fill(image);
  builder().put(image.data_of(entries_[2]), Field::kTraceStack, kNowhere.value);
  builder().put(image.data_of(entries_[3]), Field::kTraceStack, 3);
  builder().put(image.data_of(entries_[5]), Field::kTraceBytes, std::uint64_t{1} << 60);
  const TraceTable table = must_read(image);
  EXPECT_EQ(table.damage.stacks, 2u);
  EXPECT_EQ(table.damage.traces, 1u);
  EXPECT_EQ(table.traces.size(), 99u);
  EXPECT_EQ(table.traced_bytes, image.total() - 15);  // a stack is missing, not its bytes
  EXPECT_EQ(
      table.files.back() == "[unreadable]" || table.files.front() == "[unreadable]" ||
          std::find(table.files.begin(), table.files.end(), "[unreadable]") != table.files.end(),
      true);
  builder().put(entries_[0], Field::kHashtableEntryNext, kNowhere.value);
  EXPECT_EQ(must_read(image).damage.broken_chains, 1u);
}

TEST_P(EveryTable, ATableThatMiscountsIsSaid) {
  TraceImage image(process_);
  fill(image);
  builder().put(image.table(), Field::kHashtableCount, 107);
  EXPECT_EQ(must_read(image).damage.missing, 7u);
  builder().put(image.table(), Field::kHashtableCount, 99);  // stopped before it was counted
  EXPECT_FALSE(must_read(image).damage.any());
  builder().put(image.table(), Field::kHashtableCount, 50);
  const TraceTable table = must_read(image);
  EXPECT_EQ(table.traces.size(), 51u);
  EXPECT_GT(table.damage.broken_chains, 0u);
}

// The process says that it traces: it may be in the middle of a change.
TEST_P(EveryTable, ImpossibleSizesAreNoTable) {
  TraceImage image(process_);
  fill(image);
  for (const std::uint64_t buckets : {std::uint64_t{0}, std::uint64_t{63}, ~std::uint64_t{0},
                                      std::uint64_t{1} << 40, std::uint64_t{1} << 63}) {
    builder().put(image.table(), Field::kHashtableBucketCount, buckets);
    EXPECT_THAT(try_read(image), HasErrc(Errc::kCorrupt)) << buckets;
  }
  builder().put(image.table(), Field::kHashtableBucketCount, 64);
  builder().put(image.table(), Field::kHashtableCount, std::uint64_t{1} << 50);
  EXPECT_THAT(try_read(image), HasErrc(Errc::kCorrupt));
  builder().put(image.table(), Field::kHashtableCount, 100);
  builder().put(image.table(), Field::kHashtableHash, image.table().value);  // no code there
  EXPECT_THAT(try_read(image), HasErrc(Errc::kCorrupt));
}

TEST_P(EveryTable, StacksThatOverlapDoNotMultiply) {
  TraceImage image(process_);
  fill(image);
  // Each claims as many frames as can be, over the same memory.
  const RemoteAddr room = builder().allocate(1024);
  for (std::uint64_t i = 0; i < 40; ++i) {
    const RemoteAddr stack = room + 16 * i;
    builder().put(stack, Field::kTraceStackFrameCount, 65535);
    image.add(kBlock + 0x200000 + 0x70 * i, 1, stack);
  }
  const TraceTable table = must_read(image);
  EXPECT_LE(table.frames.size() * layout_.size(Struct::kTraceFrame), std::uint64_t{16} << 20);
  EXPECT_GT(table.damage.frames, 0u);
  EXPECT_EQ(table.traces.size(), 140u);
  EXPECT_EQ(table.traced_bytes, image.total());
}

// Where the table has to be looked for.
using NamelessTable = EveryTable;
INSTANTIATE_TEST_SUITE_P(Minor, NamelessTable, ::testing::Range(6, 12));

TEST_P(NamelessTable, ADecoyIsNotTaken) {
  TraceImage decoy(process_), image(process_);
  fill(image);
  // Larger, and one of its first entries in fifty leads to what is no stack.
  const RemoteAddr stack = decoy.add_stack({{"decoy.py", 1}});
  for (std::uint64_t i = 0; i < 300; ++i) {
    const RemoteAddr entry = decoy.add(kBlock + 0x70 * i, 1, stack);
    if (i % 50 == 0) builder().put(decoy.data_of(entry), Field::kTraceStack, kNowhere.value);
  }
  image.add_decoy(decoy.table());
  image.add_decoy(kNowhere);
  image.add_decoy(image.bucket(0));
  image.strip();
  EXPECT_EQ(must_read(image).traces.size(), 100u);
}

TEST_P(EveryTable, NamesThatAreNoneAreCounted) {
  TraceImage image(process_);
  fill(image);
  const RemoteAddr stack = image.add_stack({{"a.py", 4}, {"b.py", 5}});
  image.add(kBlock + 0x300000, 1, stack);
  builder().put(
      stack + layout_.offset(Field::kTraceStackFrames) + layout_.size(Struct::kTraceFrame),
      Field::kTraceFrameFilename, kNowhere.value);
  const TraceTable table = must_read(image);
  EXPECT_EQ(table.damage.names, 1u);
  EXPECT_EQ(table.damage.stacks, 0u);
  EXPECT_EQ(table.traced_bytes, image.total());
}

}  // namespace
}  // namespace memspy::cpython
