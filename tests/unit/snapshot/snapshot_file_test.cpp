#include "snapshot/snapshot_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <random>

#include "base/file.h"
#include "random_graph.h"
#include "snapshot/paths.h"
#include "snapshot/snapshot_sections.h"
#include "support/result_matchers.h"
#include "support/temp_dir.h"

namespace memspy::snapshot {
namespace {

using memspy::testing::HasErrc;
using memspy::testing::IsOk;
using memspy::testing::TempDir;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

Snapshot sample(std::uint64_t seed = 7) {
  auto script = testing::random_graph(seed, 60);
  const auto extra = script.node(0, 1ULL << 40);
  script.label(extra, "serve");
  script.root(extra, RootKind::kFrame, "thread MainThread frame serve:88 local rows");
  script.named(extra, {0}, EdgeKind::kAttribute, "first");
  Snapshot snapshot;
  snapshot.graph = script.build();
  snapshot.header.memspy_version = "0.1.0";
  snapshot.header.process = {Pid{1234}, 99};
  snapshot.header.process_name = "serve";
  snapshot.header.command_line = {"python3", "caf\xe9", "", "\xc3\xa9"};
  snapshot.header.python_version = "3.11.7";
  snapshot.header.wall_time = std::chrono::nanoseconds(1700000000123456789);
  snapshot.header.pause = std::chrono::milliseconds(83);
  snapshot.header.rss_bytes = 438304768;
  snapshot.header.rejected = 3;
  snapshot.header.counters = {{"pools", 17.5}};
  snapshot.ledger = {{"live objects: dict", 12345, "note"}};
  GcSummary gc;
  gc.enabled = true;
  gc.generations = {{700, 12, 5, 6, 0, 100}};
  gc.garbage_list = {{0}};
  snapshot.gc = {gc};
  snapshot.texts = {{0, "'secret'"}};
  snapshot.string_marks = {{0, 11, 0x1234567890abcdef}};
  if (const std::uint32_t last = snapshot.graph.node_count() - 1; last > 0)
    snapshot.string_marks.push_back({last, StringMark::kLongest, 7});
  return snapshot;
}

std::string written(const TempDir& dir, const Snapshot& snapshot) {
  const std::string path = dir.file("heap.memsnap");
  EXPECT_THAT(write_snapshot(path, snapshot, compute_dominators(snapshot.graph)), IsOk());
  return path;
}

std::string read_whole(const std::string& path) { return read_file(path).value_or({}); }
void write_whole(const std::string& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary) << bytes;
}

void expect_same_graph(const ObjectGraph& a, const ObjectGraph& b) {
  ASSERT_EQ(a.node_count(), b.node_count());
  ASSERT_EQ(a.edge_count(), b.edge_count());
  for (std::uint32_t n = 0; n < a.node_count(); ++n) {
    const NodeIndex i{n};
    ASSERT_EQ(a.address(i), b.address(i));
    ASSERT_EQ(a.bytes(i), b.bytes(i));
    ASSERT_EQ(a.flags(i), b.flags(i));
    ASSERT_EQ(a.type_name(i), b.type_name(i));
    ASSERT_EQ(a.label(i), b.label(i));
    ASSERT_TRUE(std::equal(a.targets(i).begin(), a.targets(i).end(), b.targets(i).begin(),
                           b.targets(i).end()));
    for (std::size_t e = 0; e < a.labels(i).size(); ++e)
      ASSERT_EQ(a.labels(i)[e].bits, b.labels(i)[e].bits);
  }
  ASSERT_EQ(a.roots().size(), b.roots().size());
  for (std::size_t r = 0; r < a.roots().size(); ++r) {
    ASSERT_EQ(a.roots()[r].to, b.roots()[r].to);
    ASSERT_EQ(a.roots()[r].kind, b.roots()[r].kind);
    ASSERT_EQ(a.name(a.roots()[r].name), b.name(b.roots()[r].name));
  }
}

// Everything that a verb would do with it: what was let in must be safe to use.
void use(const OpenedSnapshot& opened) {
  const auto& graph = opened.snapshot.graph;
  const auto owners = find_owners(graph, opened.dominators);
  std::uint64_t count = 0;
  for (const auto& owner : owners.owners) count += owner.count;
  ASSERT_EQ(count, graph.node_count());
  static_cast<void>(find_garbage(graph, opened.dominators));
  static_cast<void>(totals_by_type(graph, opened.dominators));
  std::vector<NodeIndex> nodes;
  for (std::uint32_t n = 0; n < graph.node_count(); ++n) {
    nodes.push_back({n});
    static_cast<void>(shortest_paths(opened.snapshot, {n}, 3));
    static_cast<void>(graph.find(graph.address({n})));
  }
  static_cast<void>(merge_paths(opened.snapshot, opened.dominators, nodes));
}

TEST(SnapshotFile, KeepsEverything) {
  const TempDir dir;
  for (std::uint64_t seed = 0; seed < 50; ++seed) {
    const auto before = sample(seed);
    const auto opened = open_snapshot(written(dir, before));
    ASSERT_THAT(opened, IsOk());
    EXPECT_THAT(opened->damage, IsEmpty());
    const auto& after = opened->snapshot;
    expect_same_graph(before.graph, after.graph);
    EXPECT_EQ(opened->dominators.retained, compute_dominators(before.graph).retained);
    EXPECT_EQ(after.header.process, before.header.process);
    EXPECT_EQ(after.header.command_line, before.header.command_line);
    EXPECT_EQ(after.header.wall_time, before.header.wall_time);
    EXPECT_EQ(after.header.counters, before.header.counters);
    EXPECT_EQ(after.ledger.at(0).bytes, 12345u);
    EXPECT_EQ(after.gc.at(0).generations.at(0).threshold, 700);
    EXPECT_THAT(after.gc.at(0).garbage_list, ElementsAre(NodeIndex{0}));
    EXPECT_EQ(after.string_marks, before.string_marks);
    use(*opened);
  }
}

TEST(SnapshotFile, HasTextsOnlyWhereTheyWereAskedFor) {
  const TempDir dir;
  auto snapshot = sample();
  const auto path = written(dir, snapshot);
  EXPECT_THAT(read_whole(path), Not(HasSubstr("secret")));
  EXPECT_THAT(open_snapshot(path)->snapshot.texts, IsEmpty());
  snapshot.header.values = true;
  EXPECT_EQ(open_snapshot(written(dir, snapshot))->snapshot.texts, snapshot.texts);
}

TEST(SnapshotFile, MarksOfWhatIsNotThereAreRefused) {
  const TempDir dir;
  for (const auto& marks : {std::vector<StringMark>{{1000000, 1, 1}},
                            std::vector<StringMark>{{2, 1, 1}, {2, 1, 1}},
                            std::vector<StringMark>{{3, 1, 1}, {2, 1, 1}}}) {
    auto snapshot = sample();
    snapshot.string_marks = marks;
    const auto opened = open_snapshot(written(dir, snapshot));
    ASSERT_THAT(opened, IsOk());
    EXPECT_THAT(opened->damage, ElementsAre(HasSubstr("string marks")));
    EXPECT_THAT(opened->snapshot.string_marks, IsEmpty());
  }
}

TEST(SnapshotFile, AnEmptyHeapIsASnapshotToo) {
  const TempDir dir;
  const auto opened = open_snapshot(written(dir, Snapshot()));
  ASSERT_THAT(opened, IsOk());
  EXPECT_THAT(opened->damage, IsEmpty());
  use(*opened);
}

TEST(SnapshotFile, RefusesWhatIsNoneAndWhatIsNewer) {
  const TempDir dir;
  EXPECT_THAT(open_snapshot(dir.file("missing")), HasErrc(Errc::kUsage));
  EXPECT_THAT(open_snapshot(dir.path()), HasErrc(Errc::kUsage));
  const auto path = written(dir, sample());
  std::string bytes = read_whole(path);
  write_whole(path, "");
  EXPECT_THAT(open_snapshot(path), HasErrc(Errc::kUsage));
  write_whole(path, "SQLite format 3 and then some more text");
  EXPECT_THAT(open_snapshot(path), HasErrc(Errc::kUsage));
  bytes[8] = 9;
  write_whole(path, bytes);
  const auto newer = open_snapshot(path);
  ASSERT_THAT(newer, HasErrc(Errc::kUnsupported));
  EXPECT_THAT(newer.error().message, HasSubstr("format 9"));
  EXPECT_THAT(newer.error().message, HasSubstr("up to 1"));
}

TEST(SnapshotFile, ReplacesAFileOnlyWhenItIsWhole) {
  const TempDir dir;
  const auto path = written(dir, sample(1));
  const auto before = read_whole(path);
  EXPECT_THAT(write_snapshot(dir.file("no/such/folder"), sample(), {}), HasErrc(Errc::kOutput));
  EXPECT_EQ(read_whole(path), before);
  std::filesystem::create_symlink(path, dir.file("link"));
  ASSERT_THAT(write_snapshot(dir.file("link"), sample(2), {}), IsOk());
  EXPECT_TRUE(std::filesystem::is_symlink(dir.file("link")));
  EXPECT_NE(read_whole(path), before);
  std::size_t files = 0;
  for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator(dir.path()))
    ++files;
  EXPECT_EQ(files, 2u) << "nothing half-written stays behind";
}

std::vector<SectionEntry> table_of(const std::string& bytes) {
  FileHead head;
  std::memcpy(&head, bytes.data(), sizeof(head));
  std::vector<SectionEntry> table(head.sections);
  std::memcpy(table.data(), bytes.data() + sizeof(head), head.sections * sizeof(SectionEntry));
  return table;
}

// Replaces a section's bytes and makes the checksums right: what only a hostile file has.
void forge(std::string& bytes, SectionId id,
           const std::function<void(char*, std::size_t)>& change) {
  auto table = table_of(bytes);
  for (auto& entry : table) {
    if (entry.id != id) continue;
    change(bytes.data() + entry.offset, entry.bytes);
    entry.checksum =
        checksum_of(std::as_bytes(std::span(bytes.data() + entry.offset, entry.bytes)));
  }
  FileHead head;
  std::memcpy(&head, bytes.data(), sizeof(head));
  head.table_checksum = checksum_of(std::as_bytes(std::span(table)));
  std::memcpy(bytes.data(), &head, sizeof(head));
  std::memcpy(bytes.data() + sizeof(head), table.data(), table.size() * sizeof(SectionEntry));
}

TEST(SnapshotFile, IsReadAsFarAsItIsThere) {
  const TempDir dir;
  auto before = sample();
  before.header.values = true;
  const auto path = written(dir, before);
  const std::string whole = read_whole(path);
  bool read_some = false, refused_some = false;
  for (const auto& entry : table_of(whole)) {
    for (const std::uint64_t cut : {entry.offset, entry.offset + entry.bytes / 2}) {
      write_whole(path, whole.substr(0, cut));
      const auto opened = open_snapshot(path);
      if (!opened.has_value()) {
        EXPECT_THAT(opened, HasErrc(Errc::kCorrupt));
        refused_some = true;
        continue;
      }
      read_some = true;
      EXPECT_THAT(opened->damage, Contains(HasSubstr("the file is cut")));
      EXPECT_EQ(opened->snapshot.graph.node_count(), before.graph.node_count());
      use(*opened);
    }
  }
  EXPECT_TRUE(read_some && refused_some);
}

TEST(SnapshotFile, SaysWhichSectionIsDamaged) {
  const TempDir dir;
  auto before = sample();
  before.header.values = true;
  const auto path = written(dir, before);
  const std::string whole = read_whole(path);
  for (const auto& entry : table_of(whole)) {
    if (entry.bytes == 0) continue;
    std::string bytes = whole;
    bytes[entry.offset] = static_cast<char>(bytes[entry.offset] ^ 1);
    write_whole(path, bytes);
    const auto opened = open_snapshot(path);
    if (!opened.has_value()) {
      EXPECT_THAT(opened.error().why, HasSubstr("fails its checksum"));
      continue;
    }
    EXPECT_THAT(opened->damage, Contains(HasSubstr("fails its checksum")));
    if (entry.id == SectionId::kIdom || entry.id == SectionId::kRetained) {
      EXPECT_EQ(opened->dominators.retained, compute_dominators(before.graph).retained);
    }
    use(*opened);
  }
}

TEST(SnapshotFile, FollowsNoIndexThatIsNone) {
  const TempDir dir;
  auto before = sample();
  before.header.values = true;
  const auto path = written(dir, before);
  const std::string whole = read_whole(path);
  std::mt19937_64 random(5);
  for (const auto& entry : table_of(whole)) {
    if (entry.bytes == 0) continue;
    for (int i = 0; i < 200; ++i) {
      std::string bytes = whole;
      forge(bytes, entry.id, [&](char* at, std::size_t size) {
        const std::size_t word = random() % size / 4 * 4;
        constexpr std::array<std::uint32_t, 6> kEdges = {0xffffffff, 0xfffffffe, 0x7fffffff,
                                                         60,         0x80000000, 0};
        const std::uint32_t value =
            i % 2 == 0 ? kEdges[random() % kEdges.size()] : static_cast<std::uint32_t>(random());
        std::memcpy(at + word, &value, std::min<std::size_t>(4, size - word));
      });
      write_whole(path, bytes);
      const auto opened = open_snapshot(path);
      if (opened.has_value()) use(*opened);
    }
  }
}

TEST(SnapshotFile, ACycleOfDominatorsIsNotWalked) {
  const TempDir dir;
  const auto path = written(dir, sample());
  std::string bytes = read_whole(path);
  forge(bytes, SectionId::kIdom, [](char* at, std::size_t) {
    const std::array<std::uint32_t, 2> cycle = {1, 0};
    std::memcpy(at, cycle.data(), sizeof(cycle));
  });
  write_whole(path, bytes);
  const auto opened = open_snapshot(path);
  ASSERT_THAT(opened, IsOk());
  EXPECT_THAT(opened->damage, Contains(HasSubstr("computed anew")));
  use(*opened);
}

TEST(SnapshotFile, RandomBytesFlippedAnywhere) {
  const TempDir dir;
  const auto path = written(dir, sample());
  const std::string whole = read_whole(path);
  std::mt19937_64 random(11);
  for (int i = 0; i < 1000; ++i) {
    std::string bytes = whole;
    for (std::uint64_t n = 1 + random() % 4; n != 0; --n)
      bytes[random() % bytes.size()] = static_cast<char>(random());
    write_whole(path, bytes);
    const auto opened = open_snapshot(path);
    if (opened.has_value()) use(*opened);
  }
}

}  // namespace
}  // namespace memspy::snapshot
