#include "snapshot/diff.h"

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

// A service at one minute: a list CACHE of `items` objects of app.T1, those from `first` on.
struct Moment {
  Snapshot snapshot;
  Dominators dominators;
  Owners owners;

  Moment(int minute, std::uint32_t first, std::uint32_t items, int pid = 7) {
    GraphBuilder builder;
    builder.on_name({1}, "app");
    builder.on_name({2}, "CACHE");
    builder.on_types(std::vector<HeapType>{{{0x10}, "app.T0", true}, {{0x20}, "app.T1", true}});
    builder.on_objects(std::vector<HeapNode>{{{0x1000}, {0}, 0, 64}, {{0x2000}, {0}, 0, 64}});
    std::vector<HeapEdge> edges;
    for (std::uint32_t i = 0; i < items; ++i) {
      builder.on_objects(std::vector<HeapNode>{{{0x10000 + (first + i) * 64ULL}, {1}, 0, 32}});
      edges.push_back({{2 + i}, EdgeKind::kIndex, false, i});
    }
    builder.on_edges({0}, std::vector<HeapEdge>{{{1}, EdgeKind::kAttribute, false, 2}});
    builder.on_edges({1}, edges);
    builder.on_roots(std::vector<HeapRoot>{{{0}, RootKind::kModule, {1}}});
    snapshot.graph = std::move(builder.finish()).value();
    snapshot.header.process = {Pid{pid}, 5};
    snapshot.header.wall_time = std::chrono::minutes(minute);
    dominators = compute_dominators(snapshot.graph);
    owners = find_owners(snapshot.graph, dominators);
  }
  Look look() const { return {&snapshot, &dominators, &owners}; }
};

const GrowthRow& row_of(const std::vector<GrowthRow>& rows, const std::string& name) {
  for (const auto& row : rows) {
    if (row.name == name) return row;
  }
  static const GrowthRow kNone;
  ADD_FAILURE() << "no row " << name;
  return kNone;
}

TEST(Diff, SaysWhatGrewByTypeAndByOwner) {
  const Moment a(0, 0, 10), b(2, 0, 30);
  const auto diff = diff_snapshots(std::vector<Look>{a.look(), b.look()});
  ASSERT_THAT(diff, IsOk());
  EXPECT_EQ(diff->minutes, 2);
  EXPECT_EQ(diff->types.front().name, "app.T1");
  const auto& grown = diff->types.front();
  EXPECT_THAT(grown.counts, ElementsAre(10, 30));
  EXPECT_EQ(grown.grown_count, 20);
  EXPECT_EQ(grown.grown_bytes, 20 * 32);
  EXPECT_EQ(grown.bytes_per_minute, 320);
  EXPECT_EQ(grown.new_and_alive, 20u);
  EXPECT_TRUE(grown.grew_every_time);
  EXPECT_FALSE(row_of(diff->types, "app.T0").grew_every_time);
  EXPECT_EQ(row_of(diff->owners, "app.CACHE").grown_bytes, 20 * 32);
  EXPECT_EQ(row_of(diff->owners, "app.CACHE").new_and_alive, 20u);
  EXPECT_EQ(diff->new_count, 20u);
  EXPECT_EQ(diff->new_bytes, 20u * 32);
  EXPECT_EQ(diff->gone_count, 0u);
}

// A loop that is looked at on another line each time.
TEST(Diff, ALocalOfAFrameIsOneOwnerOnWhicheverLine) {
  Moment before(0, 0, 10), after(1, 0, 30);
  for (Moment* moment : {&before, &after}) {
    const int line = moment == &before ? 7 : 9;
    for (auto& owner : moment->owners.owners)
      if (owner.owner == "app.CACHE")
        owner.owner = "thread main frame f.<locals>.run:" + std::to_string(line) + " local rows";
  }
  const auto diff = diff_snapshots(std::vector<Look>{before.look(), after.look()});
  ASSERT_THAT(diff, IsOk());
  const GrowthRow& row = row_of(diff->owners, "thread main frame f.<locals>.run local rows");
  EXPECT_EQ(row.grown_count, 20);
  EXPECT_TRUE(row.grew_every_time);
}

TEST(Diff, OfThreeCountsAsAliveWhatStayed) {
  const Moment a(0, 0, 10), b(1, 5, 15), c(2, 12, 10);
  const auto diff = diff_snapshots(std::vector<Look>{a.look(), b.look(), c.look()});
  ASSERT_THAT(diff, IsOk());
  const auto& row = row_of(diff->types, "app.T1");
  EXPECT_THAT(row.counts, ElementsAre(10, 15, 10));
  EXPECT_FALSE(row.grew_every_time);
  EXPECT_EQ(row.new_and_alive, 8u) << "12 to 19: in the second and the third, not in the first";
  EXPECT_EQ(diff->new_count, 10u);
  EXPECT_EQ(diff->gone_count, 10u);
}

TEST(Diff, AnotherTypeAtTheSameAddressIsNew) {
  GraphScript one, two;
  one.node(0);
  one.node(1);
  two.node(1, 32);
  two.node(0);
  Snapshot a, b;
  a.graph = one.build();
  b.graph = two.build();
  const std::vector<Look> looks = {{&a, nullptr, nullptr}, {&b, nullptr, nullptr}};
  const auto diff = diff_snapshots(looks);
  ASSERT_THAT(diff, IsOk());
  EXPECT_EQ(diff->new_count, 2u);
  EXPECT_EQ(diff->gone_count, 2u);
  EXPECT_TRUE(diff->owners.empty());
}

TEST(Diff, OfTwoProcessesComparesNoAddresses) {
  const Moment a(5, 0, 10), b(2, 0, 30, 8);
  const auto diff = diff_snapshots(std::vector<Look>{a.look(), b.look()});
  ASSERT_THAT(diff, IsOk());
  EXPECT_FALSE(diff->same_process);
  EXPECT_EQ(diff->minutes, 0);
  EXPECT_EQ(diff->new_count, 0u);
  EXPECT_EQ(diff->types.front().grown_count, 20);
}

TEST(Diff, ACoreFileIsOfTheProcessOfItsNumberAndName) {
  Moment live(0, 0, 10), core(2, 0, 30), another(2, 0, 30);
  core.snapshot.header.process.start_ticks = another.snapshot.header.process.start_ticks = 0;
  another.snapshot.header.process_name = "another";
  EXPECT_TRUE(diff_snapshots(std::vector<Look>{live.look(), core.look()})->same_process);
  EXPECT_FALSE(diff_snapshots(std::vector<Look>{live.look(), another.look()})->same_process);
}

TEST(Diff, RefusesOneAndTheWrongOrder) {
  const Moment a(0, 0, 10), b(2, 0, 30);
  EXPECT_THAT(diff_snapshots(std::vector<Look>{a.look()}), HasErrc(Errc::kUsage));
  EXPECT_THAT(diff_snapshots(std::vector<Look>{b.look(), a.look()}), HasErrc(Errc::kUsage));
}

}  // namespace
}  // namespace memspy::snapshot
