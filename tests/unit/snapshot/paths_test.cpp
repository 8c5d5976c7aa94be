#include "snapshot/paths.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "random_graph.h"

namespace memspy::snapshot {
namespace {

using ::testing::ElementsAre;
using testing::GraphScript;

Snapshot snapshot_of(const GraphScript& script) {
  Snapshot snapshot;
  snapshot.graph = script.build();
  return snapshot;
}

std::string joined(const Path& path) {
  std::string text;
  for (const auto& step : path) text += step.edge;
  return text;
}

// app.CACHE = {'k': Rec(rows=[…])}, and more than one of them.
struct Sample {
  GraphScript script;
  NodeIndex module, cache, key;
  std::vector<NodeIndex> records, rows;
  Snapshot snapshot;

  Sample() {
    script.type_of(1, "builtins.str");
    script.type_of(2, "app.Rec");
    module = script.node();
    const auto dict = script.node();
    cache = script.node();
    key = script.node(1);
    script.root(module, RootKind::kModule, "app");
    script.edge(module, dict, EdgeKind::kDict);
    script.named(dict, cache, EdgeKind::kAttribute, "CACHE");
    for (int i = 0; i < 3; ++i) {
      const auto record = script.node(2, 64), own = script.node(), list = script.node(),
                 row = script.node();
      script.edge(cache, key, EdgeKind::kKeyItself, key.value);
      script.edge(cache, record, EdgeKind::kKey, key.value);
      script.edge(record, own, EdgeKind::kDict);
      script.named(own, list, EdgeKind::kAttribute, "rows");
      script.edge(list, row, EdgeKind::kIndex, 3);
      records.push_back(record);
      rows.push_back(row);
    }
    snapshot = snapshot_of(script);
  }
};

TEST(Paths, AreWhatOneWouldType) {
  Sample sample;
  EXPECT_EQ(joined(shortest_path(sample.snapshot, sample.rows[0])), "app.CACHE[<str>].rows[3]");
  sample.snapshot.texts[sample.key.value] = "'k'";
  const auto path = shortest_path(sample.snapshot, sample.rows[0]);
  EXPECT_EQ(joined(path), "app.CACHE['k'].rows[3]");
  EXPECT_EQ(path.front().node, sample.module);
  EXPECT_EQ(path.back().node, sample.rows[0]);
  EXPECT_EQ(path.size(), 7u) << "the own dicts are steps with an empty edge";
  EXPECT_EQ(joined(shortest_path(sample.snapshot, sample.key)), "app.CACHE<key 'k'>");
}

TEST(Paths, OwnDictsToldByKeyReadLikeAttributes) {
  GraphScript script;
  const auto module = script.node(), dict = script.node(), value = script.node(),
             key = script.node();
  script.root(module, RootKind::kModule, "app");
  script.edge(module, dict, EdgeKind::kDict);
  script.edge(dict, value, EdgeKind::kKey, key.value);
  auto snapshot = snapshot_of(script);
  snapshot.texts[key.value] = "'CACHE'";
  EXPECT_EQ(joined(shortest_path(snapshot, value)), "app.CACHE");
  snapshot.texts[key.value] = "'not a name'";
  EXPECT_EQ(joined(shortest_path(snapshot, value)), "app['not a name']");
}

TEST(Paths, EveryKindOfEdgeHasItsText) {
  GraphScript script;
  const auto node = script.node();
  auto name = script.name("x");
  const auto snapshot = snapshot_of(script);
  static_cast<void>(node);
  const auto text = [&](EdgeKind kind, std::uint32_t value) {
    return edge_text(snapshot, EdgeLabel::of(kind, false, value));
  };
  EXPECT_EQ(text(EdgeKind::kAttribute, name.value), ".x");
  EXPECT_EQ(text(EdgeKind::kIndex, 7), "[7]");
  EXPECT_EQ(text(EdgeKind::kIndex, 0xffffffff), "[…]");
  EXPECT_EQ(text(EdgeKind::kKey, 0xffffffff), "[…]");
  EXPECT_EQ(text(EdgeKind::kMember, 0), "<member>");
  EXPECT_EQ(text(EdgeKind::kClosure, name.value), "<closure x>");
  EXPECT_EQ(text(EdgeKind::kLocal, name.value), "local x");
  EXPECT_EQ(text(EdgeKind::kInternal, name.value), "<x>");
  EXPECT_EQ(text(EdgeKind::kDict, 0), "");
  EXPECT_EQ(text(EdgeKind::kWord, 24), "<+0x18>");
}

TEST(Paths, AModuleIsPreferredToAFrameHoweverFar) {
  GraphScript script;
  const auto module = script.node(), a = script.node(), b = script.node(), value = script.node();
  script.root(module, RootKind::kModule, "app");
  script.root(value, RootKind::kFrame, "thread MainThread frame f:1 local x");
  script.edge(module, a);
  script.edge(a, b);
  script.edge(b, value);
  const auto snapshot = snapshot_of(script);
  EXPECT_EQ(shortest_path(snapshot, value).size(), 4u);
}

TEST(Paths, SeveralGoThroughDifferentReferrers) {
  GraphScript script;
  const auto module = script.node(), local = script.node(), value = script.node(),
             back = script.node(), far = script.node();
  script.root(module, RootKind::kModule, "app");
  script.root(local, RootKind::kFrame, "frame");
  script.edge(module, value, EdgeKind::kIndex, 1);
  script.edge(local, value, EdgeKind::kIndex, 2);
  script.edge(value, back, EdgeKind::kIndex, 3);
  script.edge(back, value, EdgeKind::kIndex, 4);
  script.edge(module, far, EdgeKind::kIndex, 5);
  script.edge(far, value, EdgeKind::kIndex, 6);
  const auto snapshot = snapshot_of(script);
  const auto paths = shortest_paths(snapshot, value, 10);
  ASSERT_EQ(paths.size(), 3u) << "not through what hangs on the object itself";
  EXPECT_EQ(joined(paths[0]), "app[1]");
  EXPECT_EQ(joined(paths[1]), "app[5][6]");
  EXPECT_EQ(joined(paths[2]), "frame[2]");
  EXPECT_EQ(shortest_paths(snapshot, value, 2).size(), 2u);
}

TEST(Paths, GarbageHasNone) {
  GraphScript script;
  script.node();
  const auto snapshot = snapshot_of(script);
  EXPECT_TRUE(shortest_path(snapshot, {0}).empty());
  EXPECT_TRUE(shortest_paths(snapshot, {0}, 3).empty());
}

TEST(Paths, AreShortestOnRandomGraphs) {
  for (std::uint64_t seed = 0; seed < 1000; ++seed) {
    const auto snapshot = snapshot_of(testing::random_graph(seed, 40));
    const auto& graph = snapshot.graph;
    // By the definition: the first kind that reaches it, then how far.
    std::vector<std::pair<int, std::size_t>> best(graph.node_count(), {99, 0});
    for (int kind = 0; kind < 7; ++kind) {
      std::vector<std::size_t> distance(graph.node_count(), 0);
      std::vector<std::uint32_t> queue;
      for (const auto& root : graph.roots()) {
        if (static_cast<int>(root.kind) != kind || distance[root.to.value] != 0) continue;
        distance[root.to.value] = 1;
        queue.push_back(root.to.value);
      }
      for (std::size_t i = 0; i < queue.size(); ++i) {
        const NodeIndex n{queue[i]};
        for (std::size_t e = 0; e < graph.targets(n).size(); ++e) {
          const auto to = graph.targets(n)[e];
          if (graph.labels(n)[e].weak() || distance[to] != 0) continue;
          distance[to] = distance[n.value] + 1;
          queue.push_back(to);
        }
      }
      for (std::uint32_t n = 0; n < graph.node_count(); ++n) {
        if (distance[n] != 0 && best[n].first == 99) best[n] = {kind, distance[n]};
      }
    }
    for (std::uint32_t n = 0; n < graph.node_count(); ++n)
      ASSERT_EQ(shortest_path(snapshot, {n}).size(), best[n].second) << n << " seed " << seed;
  }
}

TEST(Paths, AListOfAMillionLinksIsCutInTheMiddle) {
  GraphScript script;
  auto last = script.node();
  script.root(last, RootKind::kModule, "app");
  for (int i = 0; i < 1000000; ++i) {
    const auto next = script.node();
    script.edge(last, next, EdgeKind::kIndex);
    last = next;
  }
  const auto snapshot = snapshot_of(script);
  const auto path = shortest_path(snapshot, last);
  EXPECT_LT(path.size(), 200u);
  EXPECT_EQ(path.back().node, last);
  const auto dominators = compute_dominators(snapshot.graph);
  const std::vector<NodeIndex> asked = {last, {500000}};
  auto merged = merge_paths(snapshot, dominators, asked);
  EXPECT_EQ(merged.count, 2u);
  EXPECT_EQ(merged.retained, 500001u * 16) << "one hangs on the other";
  std::size_t depth = 0;
  for (const MergedPath* at = &merged; !at->children.empty(); at = &at->children[0]) ++depth;
  EXPECT_LT(depth, 100u);
}

TEST(MergedPaths, FallTogetherByPrefix) {
  Sample sample;
  const auto dominators = compute_dominators(sample.snapshot.graph);
  const auto merged = merge_paths(sample.snapshot, dominators, sample.records);
  EXPECT_EQ(merged.count, 3u);
  EXPECT_EQ(merged.bytes, 3u * 64);
  ASSERT_EQ(merged.children.size(), 1u);
  std::string text;
  const MergedPath* at = &merged;
  while (!at->children.empty()) {
    ASSERT_EQ(at->children.size(), 1u);
    at = &at->children[0];
    text += at->edge;
  }
  EXPECT_EQ(text, "app.CACHE[*]");
  EXPECT_EQ(at->count, 3u);
  EXPECT_EQ(at->retained, 3u * (64 + 3 * 16));
  EXPECT_EQ(at->type.value, 2u);
}

TEST(MergedPaths, CountEveryObjectOnceOnRandomGraphs) {
  for (std::uint64_t seed = 0; seed < 1000; ++seed) {
    const auto snapshot = snapshot_of(testing::random_graph(seed, 40));
    const auto& graph = snapshot.graph;
    const auto dominators = compute_dominators(graph);
    std::vector<NodeIndex> asked;
    std::uint64_t bytes = 0;
    for (std::uint32_t n = 0; n < graph.node_count(); n += 2) {
      asked.push_back({n});
      asked.push_back({n});  // asking twice changes nothing
      bytes += graph.bytes({n});
    }
    std::uint64_t retained = 0;
    for (std::uint32_t n = 0; n < graph.node_count(); n += 2) {
      bool nested = false;
      for (auto up = dominators.idom[n]; up != kNoNode.value; up = dominators.idom[up])
        nested |= up % 2 == 0;
      if (!nested) retained += dominators.retained[n];
    }
    const auto merged = merge_paths(snapshot, dominators, asked);
    ASSERT_EQ(merged.count, asked.size() / 2) << seed;
    ASSERT_EQ(merged.bytes, bytes) << seed;
    ASSERT_EQ(merged.retained, retained) << seed;
  }
}

}  // namespace
}  // namespace memspy::snapshot
