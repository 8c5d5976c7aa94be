#include "snapshot/analysis.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "random_graph.h"

namespace memspy::snapshot {
namespace {

using ::testing::ElementsAre;
using testing::GraphScript;
using ::testing::UnorderedElementsAre;

std::string owner_of(const Owners& owners, NodeIndex n) {
  return owners.owners[owners.owner_of[n.value]].owner;
}

Owners owners_of(const GraphScript& script) {
  const auto graph = script.build();
  return find_owners(graph, compute_dominators(graph));
}

// Every bit of a module `app` with one global of each sort.
struct App {
  GraphScript script;
  NodeIndex module, dict;
  explicit App(const std::string& name) : App(name, GraphScript()) {}
  App(const std::string& name, GraphScript base) : script(std::move(base)) { add(name); }
  void add(const std::string& name) {
    module = script.node();
    dict = script.node();
    script.root(module, RootKind::kModule, name);
    script.edge(module, dict, EdgeKind::kDict);
  }
  NodeIndex global(const std::string& name) {
    const auto value = script.node();
    script.named(dict, value, EdgeKind::kAttribute, name);
    return value;
  }
};

TEST(TypeTotals, CountNestedInstancesOnceOnRandomGraphs) {
  for (std::uint64_t seed = 0; seed < 3000; ++seed) {
    const auto graph = testing::random_graph(seed, 50).build();
    const auto dominators = compute_dominators(graph);
    std::vector<TypeTotals> expected(graph.types().size());
    for (std::uint32_t n = 0; n < graph.node_count(); ++n) {
      auto& total = expected[graph.type({n}).value];
      ++total.count;
      total.bytes += graph.bytes({n});
      bool nested = false;
      for (auto up = dominators.idom[n]; up != kNoNode.value; up = dominators.idom[up])
        nested |= graph.type({up}) == graph.type({n});
      if (!nested) total.retained += dominators.retained[n];
    }
    const auto found = totals_by_type(graph, dominators);
    ASSERT_EQ(found.size(), expected.size());
    for (std::size_t t = 0; t < found.size(); ++t) {
      ASSERT_EQ(found[t].count, expected[t].count) << seed;
      ASSERT_EQ(found[t].bytes, expected[t].bytes) << seed;
      ASSERT_EQ(found[t].retained, expected[t].retained) << seed;
    }
  }
}

TEST(Owners, AreTheNearestNamedNodeAndAddUpOnRandomGraphs) {
  for (std::uint64_t seed = 0; seed < 3000; ++seed) {
    const auto graph = testing::random_graph(seed, 50).build();
    const auto dominators = compute_dominators(graph);
    const auto owners = find_owners(graph, dominators);
    std::uint64_t bytes = 0, count = 0;
    for (const auto& owner : owners.owners) {
      bytes += owner.bytes;
      count += owner.count;
      ASSERT_GT(owner.count, 0u);
    }
    ASSERT_EQ(bytes, graph.total_bytes()) << seed;
    ASSERT_EQ(count, graph.node_count()) << seed;
    for (std::uint32_t n = 0; n < graph.node_count(); ++n) {
      const auto name = owner_of(owners, {n});
      std::uint32_t up = n;
      const auto is_root = [&](std::uint32_t at) {
        return std::any_of(graph.roots().begin(), graph.roots().end(),
                           [&](const HeapRoot& r) { return r.to.value == at; });
      };
      while (!is_root(up) && dominators.idom[up] != kNoNode.value) up = dominators.idom[up];
      if (is_root(up)) {
        // A passing local may belong to another holder.
        const bool passing = std::any_of(
            graph.roots().begin(), graph.roots().end(),
            [&](const HeapRoot& r) { return r.to.value == up && r.kind == RootKind::kFrame; });
        const bool named = std::any_of(
            graph.roots().begin(), graph.roots().end(), [&](const HeapRoot& r) {
              return (passing || r.to.value == up) && graph.name(r.name) == name;
            });
        ASSERT_TRUE(named) << n << " is owned by " << name << " seed " << seed;
      } else {
        ASSERT_EQ(name == "garbage", dominators.garbage[n] != 0) << seed;
        ASSERT_TRUE(name == "garbage" || name.starts_with("shared")) << name;
      }
    }
  }
}

TEST(Owners, AreGlobalsOfModules) {
  App app("app.cache");
  const auto sessions = app.global("SESSIONS"), doc = app.global("__doc__");
  const auto session = app.script.node();
  app.script.edge(sessions, session, EdgeKind::kIndex);
  const auto owners = owners_of(app.script);
  EXPECT_EQ(owner_of(owners, session), "app.cache.SESSIONS");
  EXPECT_EQ(owner_of(owners, sessions), "app.cache.SESSIONS");
  EXPECT_EQ(owner_of(owners, doc), "app.cache");
  EXPECT_EQ(owner_of(owners, app.dict), "app.cache");
}

TEST(Owners, AGlobalThatOthersImportedKeepsItsContent) {
  App app("app.cache");
  const auto sessions = app.global("SESSIONS");
  const auto session = app.script.node();
  app.script.edge(sessions, session, EdgeKind::kIndex);
  app.add("app.views_of_it");
  app.script.named(app.dict, sessions, EdgeKind::kAttribute, "SESSIONS");
  EXPECT_EQ(owner_of(owners_of(app.script), session), "app.cache.SESSIONS");
}

TEST(Owners, AreAttributesOfTypes) {
  App app("app");
  const auto worker = app.global("Imported"), dict = app.script.node(), queue = app.script.node(),
             job = app.script.node();
  app.script.type_of(1, "app.Worker", worker);
  app.script.edge(worker, dict, EdgeKind::kDict);
  app.script.named(dict, queue, EdgeKind::kAttribute, "_queue");
  app.script.edge(queue, job, EdgeKind::kIndex);
  const auto owners = owners_of(app.script);
  EXPECT_EQ(owner_of(owners, job), "app.Worker._queue");
  EXPECT_EQ(owner_of(owners, worker), "app.Worker");
}

TEST(Owners, AreClosuresAndDefaultsOfFunctions) {
  App app("app");
  const auto handler = app.global("handler"), cells = app.script.node(), cell = app.script.node(),
             buffer = app.script.node(), defaults = app.script.node(), grown = app.script.node();
  app.script.label(handler, "handler");
  app.script.named(handler, cells, EdgeKind::kInternal, "closure");
  app.script.named(cells, cell, EdgeKind::kClosure, "buf");
  app.script.edge(cell, buffer);
  app.script.named(handler, defaults, EdgeKind::kAttribute, "__defaults__");
  app.script.edge(defaults, grown, EdgeKind::kIndex);
  const auto owners = owners_of(app.script);
  EXPECT_EQ(owner_of(owners, buffer), "function handler.<closure buf>");
  EXPECT_EQ(owner_of(owners, grown), "function handler.<defaults>");
  EXPECT_EQ(owner_of(owners, handler), "app.handler");
}

TEST(Owners, AreLocalsOfFramesUnlessAModuleHasTheSame) {
  App app("app");
  const auto rows = app.script.node(), row = app.script.node(), both = app.global("CACHE");
  app.script.root(rows, RootKind::kFrame, "thread MainThread frame serve:88 local rows");
  app.script.root(both, RootKind::kFrame, "thread MainThread frame serve:88 local cache");
  app.script.edge(rows, row);
  const auto owners = owners_of(app.script);
  EXPECT_EQ(owner_of(owners, row), "thread MainThread frame serve:88 local rows");
  EXPECT_EQ(owner_of(owners, both), "app.CACHE");
}

TEST(Owners, ALocalThatIsPartOfAnotherObjectBelongsToThat) {
  App app("app");
  const auto shop = app.global("SHOP"), cache = app.script.node(), page = app.script.node();
  app.script.edge(shop, cache);
  app.script.edge(cache, page);
  app.script.root(cache, RootKind::kFrame, "thread visitors-2 frame Cache.store:39 local self");
  const auto owners = owners_of(app.script);
  EXPECT_EQ(owner_of(owners, cache), "app.SHOP");
  EXPECT_EQ(owner_of(owners, page), "app.SHOP");
}

// Two objects that refer to each other, and that nobody else has.
auto circle_of(App& app) {
  const std::pair circle{app.script.node(), app.script.node()};
  app.script.edge(circle.first, circle.second);
  app.script.edge(circle.second, circle.first);
  return circle;
}

TEST(Owners, ALocalThatOnlyItsOwnPartsReferToKeepsItsFrame) {
  App app("app");
  const auto [tree, leaf] = circle_of(app);
  app.script.root(tree, RootKind::kFrame, "thread MainThread frame f:1 local tree");
  EXPECT_EQ(owner_of(owners_of(app.script), leaf), "thread MainThread frame f:1 local tree");
}

TEST(Owners, TwoLocalsInACircleKeepTheirFrames) {
  App app("app");
  const auto [one, other] = circle_of(app);
  app.script.root(one, RootKind::kFrame, "thread MainThread frame f:1 local one");
  app.script.root(other, RootKind::kFrame, "thread MainThread frame f:1 local other");
  const auto owners = owners_of(app.script);
  EXPECT_EQ(owner_of(owners, one), "thread MainThread frame f:1 local one");
  EXPECT_EQ(owner_of(owners, other), "thread MainThread frame f:1 local other");
}

TEST(Owners, SayWhoSharesWhatNobodyHasAlone) {
  App app("app.a");
  const auto a = app.global("A");
  app.add("app.b");
  const auto b = app.global("B");
  app.add("other");
  const auto other = app.global("C");
  auto& script = app.script;
  const auto local = script.node();
  script.root(local, RootKind::kFrame, "thread MainThread frame f:1 local x");
  const auto within = script.node(), modules = script.node(), threads = script.node(),
             below = script.node();
  script.edge(a, within);
  script.edge(b, within);
  script.edge(a, modules);
  script.edge(other, modules);
  script.edge(a, threads);
  script.edge(local, threads);
  script.edge(modules, below);
  const auto owners = owners_of(script);
  EXPECT_EQ(owner_of(owners, within), "shared within app");
  EXPECT_EQ(owner_of(owners, modules), "shared by several modules");
  EXPECT_EQ(owner_of(owners, below), "shared by several modules");
  EXPECT_EQ(owner_of(owners, threads), "shared by modules and threads");
}

TEST(Garbage, IsWhatACollectionWouldFree) {
  GraphScript script;
  const auto root = script.node(), alive = script.node(), a = script.node(1, 64, kNodeGcTracked),
             b = script.node(2, 32, kNodeGcTracked), hanging = script.node(3, 1000),
             leaked = script.node(3, 8);
  script.root(root);
  script.edge(root, alive);
  script.edge(a, b);
  script.edge(b, a);
  script.edge(b, alive);
  script.edge(a, hanging);
  const auto graph = script.build();
  const auto garbage = find_garbage(graph, compute_dominators(graph));
  EXPECT_EQ(garbage.count, 3u);
  EXPECT_EQ(garbage.bytes, 1096u);
  EXPECT_EQ(garbage.untracked_count, 1u);
  EXPECT_EQ(garbage.untracked_bytes, 8u);
  ASSERT_EQ(garbage.types.size(), 3u);
  EXPECT_EQ(garbage.types[0].type.value, 3u);
  ASSERT_EQ(garbage.cycles.size(), 2u);
  EXPECT_THAT(garbage.cycles[0], ElementsAre(a, b));
  EXPECT_THAT(garbage.cycles[1], ElementsAre(b, a));
  EXPECT_EQ(graph.find(graph.address(leaked)), leaked);
}

TEST(Garbage, ACollectionDoesNotLookAtWhatIsFrozen) {
  GraphScript script;
  constexpr std::uint8_t kFrozen = kNodeGcTracked | 3U << kNodeGenerationShift;
  // A frozen cycle that holds a cycle of its own and shares a string with one that is not frozen.
  const auto a = script.node(1, 104, kFrozen), b = script.node(1, 104, kFrozen);
  const auto c = script.node(1, 16, kNodeGcTracked), d = script.node(1, 16, kNodeGcTracked);
  const auto e = script.node(1, 1000, kNodeGcTracked), shared = script.node(0, 8, 0);
  script.edge(a, b);
  script.edge(b, a);
  script.edge(a, c);
  script.edge(c, d);
  script.edge(d, c);
  script.edge(e, e);
  script.edge(e, shared);
  script.edge(b, shared);
  const auto graph = script.build();
  const auto garbage = find_garbage(graph, compute_dominators(graph));
  EXPECT_EQ(garbage.count, 1u);
  EXPECT_EQ(garbage.bytes, 1000u);
  EXPECT_EQ(garbage.frozen_count, 5u);
  EXPECT_EQ(garbage.frozen_bytes, 248u);
  EXPECT_EQ(garbage.untracked_count, 0u);
  ASSERT_EQ(garbage.cycles.size(), 1u);
  EXPECT_THAT(garbage.cycles[0], ElementsAre(e));
}

TEST(Garbage, AnEndlessListHasNoExampleAndEnds) {
  GraphScript script;
  auto last = script.node(0, 16, kNodeGcTracked);
  for (int i = 0; i < 100000; ++i) {
    const auto next = script.node(0, 16, kNodeGcTracked);
    script.edge(last, next);
    last = next;
  }
  const auto graph = script.build();
  const auto garbage = find_garbage(graph, compute_dominators(graph));
  EXPECT_EQ(garbage.count, 100001u);
  EXPECT_TRUE(garbage.cycles.empty());
}

}  // namespace
}  // namespace memspy::snapshot
