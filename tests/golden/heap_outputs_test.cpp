// Every output of a heap made by hand, against its text.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <sstream>

#include "recording/summary_json.h"
#include "report/gc_report.h"
#include "report/heap_text.h"
#include "report/snapshot_diff.h"
#include "report/why.h"
#include "sinks/snapshot_formats.h"
#include "support/golden.h"
#include "support/result_matchers.h"
#include "support/snapshot_builder.h"

namespace memspy {
namespace {

using memspy::testing::expect_golden;
using memspy::testing::HeapSample;
using memspy::testing::IsOk;
using memspy::testing::sample_heap;

class HeapFormats : public ::testing::TestWithParam<const char*> {};

TEST_P(HeapFormats, MatchTheirText) {
  const auto* format = sinks::find_snapshot_format(GetParam());
  ASSERT_NE(format, nullptr);
  std::ostringstream out;
  ASSERT_THAT(format->write(sample_heap().look(), {}, out), IsOk());
  expect_golden("heap/sample" + std::string(format->suffixes.front()), out.str());
}
INSTANTIATE_TEST_SUITE_P(Golden, HeapFormats,
                         ::testing::Values("heapsnapshot", "folded", "speedscope"),
                         [](const auto& value) { return std::string(value.param); });

TEST(HeapGolden, Partition) {
  const HeapSample heap = sample_heap();
  report::HeapReportOptions options;
  options.largest = 2;
  expect_golden("heap/heap.txt", report::heap_text(heap.look(), options, "what to do"));
  options.by = report::HeapGroup::kOwner;
  options.limit = 2;
  options.largest = 0;
  options.style = {true, true, 80};
  expect_golden("heap/heap-owner-colour.txt", report::heap_text(heap.look(), options, "what to do"));
  options.by = report::HeapGroup::kSize;
  options.largest = 1;
  expect_golden("heap/heap.json",
                recording::json_text(report::heap_json(heap.look(), options, "what to do")));
}

report::Why why_sessions(const HeapSample& heap) {
  const auto& graph = heap.snapshot.graph;
  const auto nodes = report::instances_of(graph, *report::find_types(graph, "app.Session"));
  return report::explain_objects(heap.look(), nodes, "app.Session", 3, {});
}

TEST(HeapGolden, Why) {
  const HeapSample heap = sample_heap();
  const report::Why why = why_sessions(heap);
  expect_golden("heap/why.txt", report::why_text(heap.look(), why, {}));
  expect_golden("heap/why.json", report::why_json(heap.look(), why));
  expect_golden("heap/why.dot", report::why_dot(why, {}));
  expect_golden("heap/why.svg", report::why_svg(why, {}));
}

TEST(HeapGolden, WhyOne) {
  const HeapSample heap = sample_heap();
  const report::Why why = report::explain_object(heap.look(), why_sessions(heap).example, 3, {});
  expect_golden("heap/why-one.txt", report::why_text(heap.look(), why, {}));
  expect_golden("heap/why-one.dot", report::why_dot(why, {}));
}

TEST(HeapGolden, Gc) {
  const HeapSample heap = sample_heap();
  const auto garbage = snapshot::find_garbage(heap.snapshot.graph, heap.dominators);
  expect_golden("heap/gc.txt", report::gc_text(heap.look(), garbage, 20, {}));
  expect_golden("heap/gc.json", report::gc_json(heap.look(), garbage));
}

TEST(HeapGolden, Diff) {
  std::vector<HeapSample> heaps;
  for (const std::uint32_t sessions : {3U, 40U, 60U}) heaps.push_back(sample_heap(sessions));
  heaps[1].snapshot.header.wall_time += std::chrono::minutes(1);
  heaps[2].snapshot.header.wall_time += std::chrono::minutes(2);
  std::vector<snapshot::Look> looks;
  for (const HeapSample& heap : heaps) looks.push_back(heap.look());
  const std::vector<std::string> names{"a.memsnap", "b.memsnap", "c.memsnap"};
  const auto diff = snapshot::diff_snapshots(looks);
  ASSERT_THAT(diff, IsOk());
  expect_golden("heap/diff.txt", report::snapshot_diff_text(looks, names, *diff, {}, "what grew"));
  expect_golden("heap/diff.json", report::snapshot_diff_json(looks, names, *diff, "what grew"));
}

}  // namespace
}  // namespace memspy
