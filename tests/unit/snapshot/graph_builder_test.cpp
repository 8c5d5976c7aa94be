#include "snapshot/graph_builder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "random_graph.h"
#include "support/result_matchers.h"

namespace memspy::snapshot {
namespace {

using memspy::testing::HasErrc;
using memspy::testing::IsOk;
using ::testing::ElementsAre;
using testing::GraphScript;

HeapNode node_at(std::uint64_t address, std::uint64_t bytes = 16) {
  return {RemoteAddr{address}, TypeIndex{0}, 0, bytes};
}

class Told : public ::testing::Test {
 protected:
  Told() {
    builder_.on_name({1}, "name");
    builder_.on_types(std::vector<HeapType>{{RemoteAddr{8}, "app.T", true}});
    builder_.on_objects(std::vector<HeapNode>{node_at(0x1000), node_at(0x2000)});
  }
  void edges(std::uint32_t from, std::vector<HeapEdge> list) { builder_.on_edges({from}, list); }
  GraphBuilder builder_;
};

TEST_F(Told, KeepsWhatItWasTold) {
  builder_.on_objects(std::vector<HeapNode>{
      {RemoteAddr{0x7fff00000010}, TypeIndex{0}, kNodeGcTracked | kNodeInPool, 13}});
  edges(1, {{{0}, EdgeKind::kAttribute, false, 1}, {{2}, EdgeKind::kIndex, true, 77}});
  builder_.on_labels(std::vector<HeapLabel>{{{2}, {1}}});
  builder_.on_roots(std::vector<HeapRoot>{{{1}, RootKind::kFrame, {1}}});
  auto built = builder_.finish();
  ASSERT_THAT(built, IsOk());
  const ObjectGraph graph = *built;  // a copy shares its columns
  ASSERT_EQ(graph.node_count(), 3u);
  EXPECT_EQ(graph.address({2}).value, 0x7fff00000010u);
  EXPECT_EQ(graph.address({1}).value, 0x2000u);
  EXPECT_EQ(graph.flags({2}), kNodeGcTracked | kNodeInPool);
  EXPECT_EQ(graph.bytes({2}), 16u) << "sizes are kept in units of 8 bytes, rounded up";
  EXPECT_THAT(graph.targets({1}), ElementsAre(0, 2));
  EXPECT_TRUE(graph.targets({0}).empty());
  EXPECT_TRUE(graph.targets({2}).empty());
  EXPECT_EQ(graph.labels({1})[1].value(), 77u);
  EXPECT_TRUE(graph.labels({1})[1].weak());
  EXPECT_EQ(graph.name({graph.labels({1})[0].value()}), "name");
  EXPECT_EQ(graph.label({2}), "name");
  EXPECT_EQ(graph.label({1}), "");
  EXPECT_EQ(graph.roots().size(), 1u);
}

TEST_F(Told, FindsByAddress) {
  builder_.on_objects(std::vector<HeapNode>{node_at(0x100002000), node_at(0x700000001000)});
  auto built = builder_.finish();
  ASSERT_THAT(built, IsOk());
  const std::vector<std::uint64_t> there = {0x1000, 0x2000, 0x100002000, 0x700000001000};
  for (std::uint32_t n = 0; n < there.size(); ++n) EXPECT_EQ(built->find({there[n]}), NodeIndex{n});
  for (const std::uint64_t missing :
       {0ULL, 0x1008ULL, 0x100001000ULL, 0x200002000ULL, 0x700000001008ULL, ~0ULL})
    EXPECT_EQ(built->find({missing}), kNoNode) << missing;
}

TEST_F(Told, SizesBeyondTheirColumnAreKept) {
  const std::uint64_t huge = (1ULL << 40) + 8;
  builder_.on_objects(
      std::vector<HeapNode>{node_at(0x3000, huge), node_at(0x4000, 0xffffffffULL * 8)});
  auto built = builder_.finish();
  ASSERT_THAT(built, IsOk());
  EXPECT_EQ(built->bytes({2}), huge);
  EXPECT_EQ(built->bytes({3}), 0xffffffffULL * 8);
  EXPECT_EQ(built->total_bytes(), 32 + huge + 0xffffffffULL * 8);
}

TEST_F(Told, ValuesThatDoNotFitSaySo) {
  edges(0, {{{1}, EdgeKind::kIndex, false, 0xfffffff0}});
  auto built = builder_.finish();
  ASSERT_THAT(built, IsOk());
  EXPECT_EQ(built->labels({0})[0].value(), EdgeLabel::kValueCap);
  EXPECT_EQ(built->name({EdgeLabel::kValueCap}), "");
}

TEST_F(Told, RefusesWhatWasNotPromised) {
  using Tell = std::function<void(GraphBuilder&)>;
  const std::vector<std::pair<const char*, Tell>> lies = {
      {"an address twice", [](auto& b) { b.on_objects(std::vector<HeapNode>{node_at(0x2000)}); }},
      {"an address below", [](auto& b) { b.on_objects(std::vector<HeapNode>{node_at(0x1800)}); }},
      {"a type",
       [](auto& b) {
         b.on_objects(std::vector<HeapNode>{{RemoteAddr{0x9000}, TypeIndex{1}, 0, 8}});
       }},
      {"a target",
       [](auto& b) {
         b.on_edges({0}, std::vector<HeapEdge>{{{2}, EdgeKind::kIndex, false, 0}});
       }},
      {"kNoNode",
       [](auto& b) {
         b.on_edges({0}, std::vector<HeapEdge>{{kNoNode, EdgeKind::kIndex, false, 0}});
       }},
      {"a source", [](auto& b) { b.on_edges({2}, {}); }},
      {"a name",
       [](auto& b) {
         b.on_edges({0}, std::vector<HeapEdge>{{{1}, EdgeKind::kLocal, false, 2}});
       }},
      {"a key",
       [](auto& b) {
         b.on_edges({0}, std::vector<HeapEdge>{{{1}, EdgeKind::kKey, false, 2}});
       }},
      {"a kind",
       [](auto& b) {
         b.on_edges({0}, std::vector<HeapEdge>{{{1}, static_cast<EdgeKind>(11), false, 0}});
       }},
      {"edges twice",
       [](auto& b) {
         b.on_edges({0}, std::vector<HeapEdge>{{{1}, EdgeKind::kIndex, false, 0}});
         b.on_edges({0}, std::vector<HeapEdge>{{{1}, EdgeKind::kIndex, false, 0}});
       }},
      {"edges backwards",
       [](auto& b) {
         b.on_edges({1}, {});
         b.on_edges({0}, {});
       }},
      {"objects after edges",
       [](auto& b) {
         b.on_edges({0}, {});
         b.on_objects(std::vector<HeapNode>{node_at(0x9000)});
       }},
      {"types after objects", [](auto& b) { b.on_types(std::vector<HeapType>(1)); }},
      {"edges after roots",
       [](auto& b) {
         b.on_roots({});
         b.on_edges({0}, {});
       }},
      {"a root",
       [](auto& b) {
         b.on_roots(std::vector<HeapRoot>{{{2}, RootKind::kModule, {0}}});
       }},
      {"a root's kind",
       [](auto& b) {
         b.on_roots(std::vector<HeapRoot>{{{1}, static_cast<RootKind>(7), {0}}});
       }},
      {"a root's name",
       [](auto& b) {
         b.on_roots(std::vector<HeapRoot>{{{1}, RootKind::kModule, {2}}});
       }},
      {"a label's order",
       [](auto& b) {
         b.on_labels(std::vector<HeapLabel>{{{1}, {1}}, {{0}, {1}}});
       }},
      {"a name's gap", [](auto& b) { b.on_name({3}, "x"); }},
      {"a name changed", [](auto& b) { b.on_name({1}, "x"); }},
  };
  for (const auto& [what, lie] : lies) {
    GraphBuilder builder;
    builder.on_name({1}, "name");
    builder.on_types(std::vector<HeapType>{{RemoteAddr{8}, "app.T", true}});
    builder.on_objects(std::vector<HeapNode>{node_at(0x1000), node_at(0x2000)});
    lie(builder);
    builder.on_roots({});
    EXPECT_THAT(builder.finish(), HasErrc(Errc::kCorrupt)) << what;
  }
}

TEST(GraphBuilder, AGraphIsTakenOnce) {
  GraphBuilder builder;
  EXPECT_THAT(builder.finish(), IsOk());
  builder.on_objects({});
  EXPECT_FALSE(builder.finish().has_value());
}

}  // namespace
}  // namespace memspy::snapshot
