#include <algorithm>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "brute_force.h"
#include "random_graph.h"
#include "snapshot/analysis.h"

namespace memspy::snapshot {
namespace {

using testing::GraphScript;

// One entry for each part of the garbage that no other garbage reaches must hang below the root.
std::vector<NodeIndex> garbage_entries(const ObjectGraph& graph, const Dominators& dominators,
                                       const std::vector<std::vector<bool>>& reach) {
  std::vector<NodeIndex> entries;
  for (std::uint32_t n = 0; n < graph.node_count(); ++n) {
    if (dominators.garbage[n] == 0 || dominators.idom[n] != kNoNode.value) continue;
    bool source = true;
    for (std::uint32_t m = 0; m < graph.node_count(); ++m) {
      if (dominators.garbage[m] != 0 && reach[m][n] && !reach[n][m]) source = false;
    }
    if (source) entries.push_back({n});
  }
  return entries;
}

void expect_true(const ObjectGraph& graph, std::uint64_t seed) {
  const Dominators found = compute_dominators(graph);
  const auto reach = testing::reaches(graph);
  const auto entries = garbage_entries(graph, found, reach);
  for (const auto a : entries) {
    for (const auto b : entries)
      EXPECT_TRUE(a == b || !reach[a.value][b.value]) << "two entries of one part, seed " << seed;
  }
  const auto truth = testing::brute_force(graph, entries);
  for (std::uint32_t n = 0; n < graph.node_count(); ++n) {
    ASSERT_EQ(found.garbage[n] == 0, truth.alive[n]) << "node " << n << " seed " << seed;
    ASSERT_EQ(found.retained[n], truth.retained[n]) << "node " << n << " seed " << seed;
    std::vector<bool> above(graph.node_count());
    std::uint32_t steps = 0;
    for (std::uint32_t up = n; up != kNoNode.value; up = found.idom[up]) {
      above[up] = true;
      ASSERT_LT(steps++, graph.node_count()) << "a cycle of dominators, seed " << seed;
    }
    for (std::uint32_t a = 0; a < graph.node_count(); ++a)
      ASSERT_EQ(above[a], truth.dominates[a][n]) << a << " over " << n << " seed " << seed;
  }
}

TEST(Dominators, AreThoseOfTheDefinitionOnRandomGraphs) {
  for (std::uint64_t seed = 0; seed < 6000 && !HasFatalFailure(); ++seed)
    expect_true(testing::random_graph(seed, static_cast<std::uint32_t>(4 + seed % 40)).build(),
                seed);
}

// Many small graphs side by side are one that several threads work on.
TEST(Dominators, OfALargeGraphAreThoseOfItsParts) {
  constexpr std::uint64_t kParts = 8000;
  GraphScript all;
  std::vector<Dominators> parts;
  for (std::uint64_t seed = 0; seed < kParts; ++seed) {
    const ObjectGraph part = testing::random_graph(seed, 40).build();
    parts.push_back(compute_dominators(part));
    std::vector<NodeIndex> nodes;
    for (std::uint32_t n = 0; n < part.node_count(); ++n)
      nodes.push_back(all.node(0, part.bytes({n})));
    for (std::uint32_t n = 0; n < part.node_count(); ++n) {
      const auto labels = part.labels({n});
      for (std::size_t i = 0; i < labels.size(); ++i)
        all.edge(nodes[n], nodes[part.targets({n})[i]], EdgeKind::kInternal, 0, labels[i].weak());
    }
    for (const HeapRoot& root : part.roots()) all.root(nodes[root.to.value]);
  }
  const Dominators found = compute_dominators(all.build());
  ASSERT_GT(found.idom.size(), 100'000U);
  std::uint32_t first = 0;
  for (std::uint64_t seed = 0; seed < kParts; ++seed) {
    const Dominators& part = parts[seed];
    for (std::uint32_t n = 0; n < part.idom.size(); ++n) {
      const bool top = part.idom[n] == kNoNode.value;
      ASSERT_EQ(found.idom[first + n], top ? kNoNode.value : first + part.idom[n]) << seed;
      ASSERT_EQ(found.retained[first + n], part.retained[n]) << seed;
      ASSERT_EQ(found.garbage[first + n], part.garbage[n]) << seed;
    }
    first += static_cast<std::uint32_t>(part.idom.size());
  }
}

TEST(Dominators, SumsBeyondAColumnOf32BitsAreExact) {
  constexpr std::uint64_t kHuge = (std::uint64_t{1} << 35) - 16, kHuger = std::uint64_t{1} << 40;
  GraphScript script;
  const auto root = script.node(), list = script.node(), large = script.node(0, kHuge);
  const auto larger = script.node(0, kHuger), small = script.node(0, 24);
  for (const auto leaf : {large, small, larger}) script.edge(list, leaf);
  script.edge(root, list);
  script.root(root);
  const auto found = compute_dominators(script.build());
  EXPECT_THAT(found.retained,
              ::testing::ElementsAre(kHuge + kHuger + 56, kHuge + kHuger + 40, kHuge, kHuger, 24u));
}

TEST(Dominators, AnEmptyGraphHasNone) {
  const auto found = compute_dominators(GraphScript().build());
  EXPECT_TRUE(found.idom.empty());
}

TEST(Dominators, WeakEdgesKeepNothingAlive) {
  GraphScript script;
  const auto root = script.node(), held = script.node(), weak = script.node();
  script.edge(root, held);
  script.edge(root, weak, EdgeKind::kInternal, 0, true);
  script.root(root);
  const auto found = compute_dominators(script.build());
  EXPECT_THAT(found.garbage, ::testing::ElementsAre(0, 0, 1));
  EXPECT_THAT(found.retained, ::testing::ElementsAre(32u, 16u, 16u));
}

TEST(Dominators, GarbageTakesNothingAwayFromWhatIsAlive) {
  GraphScript script;
  const auto root = script.node(), held = script.node(), cycle = script.node(),
             other = script.node();
  script.edge(root, held);
  script.edge(cycle, other);
  script.edge(other, cycle);
  script.edge(other, held);
  script.root(root);
  const auto found = compute_dominators(script.build());
  EXPECT_THAT(found.retained,
              ::testing::ElementsAre(32u, 16u, ::testing::Ge(16u), ::testing::Ge(16u)));
  EXPECT_EQ(found.retained[2] + found.retained[3], 48u);
}

// Deeper than any stack: lists of links, folded (one way) and not (both ways).
TEST(Dominators, ChainsOfAMillionLinks) {
  for (const bool both_ways : {false, true}) {
    GraphScript script;
    constexpr std::uint32_t kLinks = 1000000;
    auto last = script.node();
    script.root(last);
    for (std::uint32_t i = 1; i < kLinks; ++i) {
      const auto next = script.node();
      script.edge(last, next);
      if (both_ways) script.edge(next, last);
      last = next;
    }
    for (const bool garbage : {false, true}) {
      if (garbage) script.root(last);
      const auto found = compute_dominators(script.build());
      EXPECT_EQ(found.idom[kLinks / 2] == kLinks / 2 - 1, !(both_ways && garbage));
      EXPECT_GE(found.retained[0], 16u);
    }
  }
}

TEST(Dominators, AChainOfGarbage) {
  GraphScript script;
  auto last = script.node();
  const auto first = last;
  for (int i = 1; i < 300000; ++i) {
    const auto next = script.node();
    script.edge(last, next);
    last = next;
  }
  script.edge(last, first);
  const auto found = compute_dominators(script.build());
  EXPECT_THAT(found.garbage, ::testing::Each(1));
  EXPECT_EQ(*std::max_element(found.retained.begin(), found.retained.end()), 300000u * 16);
}

}  // namespace
}  // namespace memspy::snapshot
