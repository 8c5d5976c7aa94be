// The heap's reports on heaps made by hand. Whole texts stand in tests/golden.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "base/digits.h"
#include "report/gc_report.h"
#include "report/heap_text.h"
#include "report/snapshot_diff.h"
#include "report/why.h"
#include "support/result_matchers.h"
#include "support/snapshot_builder.h"

namespace memspy::report {
namespace {

using memspy::testing::HasErrc;
using memspy::testing::HeapSample;
using memspy::testing::IsOk;
using memspy::testing::sample_heap;
using memspy::testing::SnapshotBuilder;
using ::testing::ElementsAre;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::Not;

const HeapRow* find_row(const HeapCensus& census, const std::string& name) {
  for (const HeapRow& row : census.rows)
    if (row.name == name) return &row;
  return nullptr;
}

std::uint64_t sum(const HeapCensus& census, std::uint64_t HeapRow::*field) {
  std::uint64_t total = 0;
  for (const HeapRow& row : census.rows) total += row.*field;
  return total;
}

TEST(HeapCensusTest, EveryGroupingCountsEveryObjectOnce) {
  const HeapSample heap = sample_heap();
  for (const HeapGroup by : {HeapGroup::kType, HeapGroup::kModule, HeapGroup::kOwner,
                             HeapGroup::kSize, HeapGroup::kGeneration}) {
    const HeapCensus census = take_heap_census(heap.look(), by, HeapSort::kBytes);
    EXPECT_EQ(sum(census, &HeapRow::count), heap.snapshot.graph.node_count());
    EXPECT_EQ(sum(census, &HeapRow::bytes), heap.snapshot.graph.total_bytes());
    EXPECT_EQ(census.bytes, heap.snapshot.graph.total_bytes());
  }
}

TEST(HeapCensusTest, RetainedOfATypeIsNotCountedTwice) {
  SnapshotBuilder b;
  const NodeIndex app = b.module("app");
  const NodeIndex outer = b.object("app.Box", 100 / 8 * 8);
  const NodeIndex inner = b.object("app.Box", 40);
  const NodeIndex leaf = b.object("builtins.bytes", 1000);
  b.attribute(app, "box", outer);
  b.attribute(outer, "inner", inner);
  b.attribute(inner, "data", leaf);
  const HeapSample heap(b.build());
  const HeapCensus census = take_heap_census(heap.look(), HeapGroup::kType, HeapSort::kRetained);
  EXPECT_EQ(find_row(census, "app.Box")->retained, 96U + 40 + 1000);
  EXPECT_EQ(find_row(census, "builtins.bytes")->retained, 1000U);
}

TEST(HeapCensusTest, ModulesOfTypesAreTheLongestThatExist) {
  const std::vector<std::string_view> modules{"app", "app.models", "builtins"};
  EXPECT_EQ(module_of_type("app.models.Rec", modules), "app.models");
  EXPECT_EQ(module_of_type("app.models.Outer.Inner", modules), "app.models");
  EXPECT_EQ(module_of_type("app.Outer.Inner", modules), "app");
  EXPECT_EQ(module_of_type("gone.mod.Rec", modules), "gone.mod");
  EXPECT_EQ(module_of_type("NoModule", modules), "NoModule");
}

TEST(HeapCensusTest, RowsAreSortedAsAsked) {
  const HeapSample heap = sample_heap();
  const auto by_name = take_heap_census(heap.look(), HeapGroup::kType, HeapSort::kName);
  EXPECT_TRUE(std::is_sorted(by_name.rows.begin(), by_name.rows.end(),
                             [](const HeapRow& a, const HeapRow& b) { return a.name < b.name; }));
  const auto by_count = take_heap_census(heap.look(), HeapGroup::kType, HeapSort::kCount);
  EXPECT_EQ(by_count.rows.front().name, "builtins.bytes");
}

TEST(HeapCensusTest, TheLargestIsWhereMemoryAccumulates) {
  const HeapSample heap = sample_heap();
  const auto nodes = largest_objects(heap.look(), 1);
  ASSERT_EQ(nodes.size(), 1U);
  // Not the module, nor its dict, which hold nearly all through the table.
  EXPECT_EQ(expression_of(heap.snapshot, nodes[0]), "app.SESSIONS");
}

TEST(HeapText, NamesWhatIsNotExact) {
  HeapSample heap = sample_heap();
  EXPECT_EQ(heap_caveats(heap.snapshot.header), "");
  heap.snapshot.header.counters = {{"from_pools", 7}, {"from_lists", 1234}, {"from_edges", 5678}};
  EXPECT_EQ(heap_caveats(heap.snapshot.header), "");
  heap.snapshot.header.counters[0].second = 0;
  EXPECT_THAT(heap_caveats(heap.snapshot.header), HasSubstr("1 234 objects were found on"));
  heap.snapshot.header.moved_threads = 2;
  heap.snapshot.header.rejected = 1234;
  heap.snapshot.header.rejected_bytes = 4096;
  const std::string text = heap_text(heap.look(), {}, "steady");
  EXPECT_THAT(text, HasSubstr("2 threads ran while memory was copied"));
  EXPECT_THAT(text, HasSubstr("1 234 objects (4.0 KiB) contradicted themselves"));
}

TEST(HeapText, RowsAreCutAndWhatIsLeftIsSummedUp) {
  const HeapSample heap = sample_heap();
  HeapReportOptions options;
  options.limit = 1;
  EXPECT_THAT(heap_text(heap.look(), options, ""), HasSubstr("more: "));
  options.limit = 0;
  EXPECT_THAT(heap_text(heap.look(), options, ""), Not(HasSubstr("more: ")));
}

TEST(HeapJson, HasWhatScriptsRelyOn) {
  const HeapSample heap = sample_heap();
  const auto json = heap_json(heap.look(), {}, "a verdict");
  EXPECT_EQ(json["schema"], "memspy.heap/1");
  EXPECT_EQ(json["pid"], 4242);
  EXPECT_EQ(json["python"], "3.11.7");
  EXPECT_DOUBLE_EQ(json["pause_seconds"], 0.083);
  EXPECT_EQ(json["objects"]["count"], heap.snapshot.graph.node_count());
  EXPECT_EQ(json["objects"]["bytes"], heap.snapshot.graph.total_bytes());
  EXPECT_EQ(json["garbage"]["count"], 2);
  EXPECT_EQ(json["garbage"]["bytes"], 112);
  EXPECT_EQ(json["unexplained_bytes"], (1 << 20) - 205152);
  EXPECT_EQ(json["verdict"], "a verdict");
}

TEST(Digits, AreGroupedByThree) {
  EXPECT_EQ(grouped_digits(0), "0");
  EXPECT_EQ(grouped_digits(999), "999");
  EXPECT_EQ(grouped_digits(1000), "1 000");
  EXPECT_EQ(grouped_digits(4912331), "4 912 331");
}

TEST(WhyTest, TypesAreFoundByTheirNameOrItsEnd) {
  const HeapSample heap = sample_heap();
  const auto& graph = heap.snapshot.graph;
  EXPECT_THAT(find_types(graph, "app.Session"), IsOk());
  EXPECT_THAT(find_types(graph, "Session"), IsOk());
  const auto missing = find_types(graph, "app.Sessions");
  EXPECT_THAT(missing, HasErrc(Errc::kInternal));
  EXPECT_THAT(find_types(graph, "app.session.Session").error().why, HasSubstr("app.Session"));
}

TEST(WhyTest, APathReadsAsOneWouldTypeIt) {
  const HeapSample heap = sample_heap();
  const auto types = find_types(heap.snapshot.graph, "app.Session");
  ASSERT_THAT(types, IsOk());
  const auto nodes = instances_of(heap.snapshot.graph, *types);
  ASSERT_EQ(nodes.size(), 3U);
  const Why why = explain_object(heap.look(), nodes[1], 3, {});
  ASSERT_EQ(why.paths.size(), 1U);
  EXPECT_EQ(expression(why.paths[0]), "app.SESSIONS['user1']");
  EXPECT_EQ(why.retained, 64U + 120 + 2 * 2048);
}

TEST(WhyTest, KeysAreReadWhenPathsNeedThem) {
  HeapSample heap = sample_heap();
  heap.snapshot.texts.clear();
  const auto nodes =
      instances_of(heap.snapshot.graph, *find_types(heap.snapshot.graph, "app.Session"));
  std::vector<NodeIndex> asked;
  const Why why = explain_object(heap.look(), nodes[2], 3, [&](std::span<const NodeIndex> keys) {
    asked.assign(keys.begin(), keys.end());
    for (const NodeIndex key : keys) heap.snapshot.texts[key.value] = "'late'";
  });
  EXPECT_EQ(asked.size(), 1U);
  EXPECT_EQ(expression(why.paths.at(0)), "app.SESSIONS['late']");
}

TEST(WhyTest, InstancesRetainTogetherWhatEachRetainsOnce) {
  SnapshotBuilder b;
  const NodeIndex app = b.module("app");
  const NodeIndex outer = b.object("app.Box", 96);
  const NodeIndex inner = b.object("app.Box", 40);
  b.attribute(app, "box", outer);
  b.attribute(outer, "inner", inner);
  const HeapSample heap(b.build());
  const std::vector<NodeIndex> both{outer, inner};
  EXPECT_EQ(explain_objects(heap.look(), both, "app.Box", 1, {}).retained, 136U);
}

TEST(WhyTest, GarbageIsSaidToBeGarbage) {
  const HeapSample heap = sample_heap();
  const auto nodes =
      instances_of(heap.snapshot.graph, *find_types(heap.snapshot.graph, "app.Node"));
  const Why why = explain_object(heap.look(), nodes[0], 3, {});
  EXPECT_TRUE(why.paths.empty());
  EXPECT_THAT(why_text(heap.look(), why, {}), HasSubstr("garbage"));
}

TEST(WhyTest, ALongPathIsCutInTheMiddle) {
  SnapshotBuilder b;
  NodeIndex at = b.module("app");
  for (int i = 0; i < 1000; ++i) {
    const NodeIndex next = b.object("app.Link", 48);
    b.attribute(at, "next", next);
    at = next;
  }
  const HeapSample heap(b.build());
  const std::string text = why_text(heap.look(), explain_object(heap.look(), at, 1, {}), {});
  EXPECT_THAT(text, HasSubstr("more steps"));
  EXPECT_LT(std::count(text.begin(), text.end(), '\n'), 60);
}

TEST(WhyDot, NamesAreQuoted) {
  const HeapSample heap = sample_heap();
  const auto types = find_types(heap.snapshot.graph, "<weird> & \"type\"");
  ASSERT_THAT(types, IsOk());
  const auto nodes = instances_of(heap.snapshot.graph, *types);
  ASSERT_EQ(nodes.size(), 1U);
  const Why why = explain_object(heap.look(), nodes[0], 1, {});
  EXPECT_THAT(why_dot(why, {}), HasSubstr("<weird> & \\\"type\\\""));
  EXPECT_THAT(why_svg(why, {}), HasSubstr("&lt;weird&gt; &amp; &quot;type&quot;"));
}

TEST(GcReport, SaysWhenTheCollectorIsOff) {
  HeapSample heap = sample_heap();
  const auto garbage = find_garbage(heap.snapshot.graph, heap.dominators);
  EXPECT_THAT(gc_verdict(heap.look(), garbage), HasSubstr("gc.collect() would free 112 B"));
  heap.snapshot.gc[0].enabled = false;
  EXPECT_THAT(gc_verdict(heap.look(), garbage), HasSubstr("the collector is off"));
}

TEST(SnapshotDiff, EndsInTheVerdictWhichCannotDriveATerminal) {
  HeapSample first = sample_heap(3);
  HeapSample second = sample_heap(60);
  const std::vector<snapshot::Look> looks{first.look(), second.look()};
  const auto diff = snapshot::diff_snapshots(looks);
  ASSERT_THAT(diff, IsOk());
  const std::vector<std::string> names{"a", "b"};
  EXPECT_THAT(snapshot_diff_text(looks, names, *diff, {}, "app.\x1b[2J grew"),
              EndsWith("\napp.\\x1b[2J grew\n"));
  EXPECT_THAT(heap_text(first.look(), {}, "app.\x1b[2J"), EndsWith("\napp.\\x1b[2J\n"));
}

}  // namespace
}  // namespace memspy::report
