// The sweep over pools and the frontier, against an allocator that works in a fake memory of every
// version: what is predicted is what it hands out.
#include <random>
#include <vector>

#include "cpython/layouts.h"
#include "cpython/pools/frontier.h"
#include "cpython/pools/frontier_pulse.h"
#include "cpython/pools/pool_sweep.h"
#include "support/pymalloc_image.h"
#include "support/result_matchers.h"

namespace memspy::cpython {
namespace {

using testing::IsOk;
using testing::PymallocImage;
using testing::PyProcess;

class EveryPools : public ::testing::TestWithParam<int> {
 protected:
  EveryPools() : process_(*layout_for(GetParam())), heap_(process_) {}
  const Layout& layout() { return process_.image().layout(); }
  Interpreter interpreter() {
    Anchors anchors;
    anchors.runtime = process_.image().runtime();
    anchors.interpreters_head = process_.image().interpreters_head();
    if (layout().strategies.obmalloc == ObmallocPlace::kStatics) {
      anchors.arenas = process_.arenas_variable();
      anchors.max_arenas = process_.module().symbols["maxarenas"];
    }
    return {Version{}, std::make_shared<Layout>(layout()), anchors};
  }
  std::vector<Arena> arenas() {
    return ArenaList(interpreter()).read(process_.memory(), heap_.map());
  }
  PoolSweep swept() {
    PoolSweep sweep(layout());
    sweep.begin(arenas());
    while (!sweep.step(process_.memory(), 7)) {
    }
    return sweep;
  }
  Frontier frontier(const PoolSweep& sweep) {
    Frontier frontier(layout(), process_.memory());
    frontier.set_used_pools(sweep.used_pools());
    frontier.set_arenas(arenas());
    for (std::uint32_t c = 0; c < kSizeClasses; ++c)
      frontier.set_block_bytes(c, sweep.counts().block_bytes[c]);
    return frontier;
  }
  // Holes everywhere: blocks of three classes taken, and many of them given back.
  void age(std::size_t blocks, double keep) {
    std::vector<RemoteAddr> taken;
    for (std::uint32_t i = 0; i < blocks; ++i) taken.push_back(heap_.take(i % 3 * 5));
    std::shuffle(taken.begin(), taken.end(), random_);
    const auto kept = static_cast<std::ptrdiff_t>(keep * static_cast<double>(taken.size()));
    for (auto it = taken.begin() + kept; it != taken.end(); ++it) heap_.give_back(*it);
    taken.resize(static_cast<std::size_t>(kept));
    live_.insert(live_.end(), taken.begin(), taken.end());
  }

  std::mt19937_64 random_{7};
  PyProcess process_;
  PymallocImage heap_;
  std::vector<RemoteAddr> live_;
};

TEST_P(EveryPools, CountsTheBlocksOfEachClass) {
  age(2000, 0.6);
  const PoolSweep sweep = swept();
  for (std::uint32_t c = 0; c < kSizeClasses; ++c)
    EXPECT_EQ(sweep.counts().used[c], heap_.used(c)) << "class " << c;
  EXPECT_EQ(sweep.counts().block_bytes[5], 96U);
  EXPECT_EQ(sweep.counts().unread, 0U);
}

TEST_P(EveryPools, FindsWhereTheListsAreHeaded) {
  age(2000, 0.6);
  EXPECT_EQ(swept().used_pools(), heap_.used_pools());
}

TEST_P(EveryPools, FindsTheArenasWithoutSymbols) {
  age(2000, 0.6);
  if (layout().strategies.obmalloc != ObmallocPlace::kStatics) GTEST_SKIP() << "needs no symbols";
  Interpreter stripped({}, std::make_shared<Layout>(layout()), {});
  process_.module().writable = {{process_.arenas_variable() - 64, 128}};
  MemoryMap map = process_.map_of_everything();
  const auto found =
      ArenaList::find(stripped, process_.memory(), process_.memory(), map, process_.symbols());
  ASSERT_THAT(found, IsOk());
  EXPECT_EQ(found->read(process_.memory(), map).size(), 2U);
}

// The heart of the matter: block after block, through holes, never used room, and new pools.
TEST_P(EveryPools, PredictsEveryBlockThatIsTaken) {
  age(2000, 0.6);
  Frontier ahead = frontier(swept());
  for (const std::uint32_t size_class : {0U, 5U, 10U, 20U}) {
    ahead.set_block_bytes(size_class, (size_class + 1) * 16);
    std::vector<RemoteAddr> predicted;
    for (std::uint64_t n = 0; n < 150; ++n) {
      const auto block = ahead.find(size_class, n);
      ASSERT_TRUE(block) << "class " << size_class << ", block " << n;
      EXPECT_EQ(ahead.use_of(*block) == BlockUse::kUsed, false);
      predicted.push_back(block->address);
    }
    for (std::uint64_t n = 0; n < 150; ++n) {
      const RemoteAddr taken = heap_.take(size_class);
      ASSERT_EQ(taken, predicted[n]) << "class " << size_class << ", block " << n;
    }
    ahead.set_arenas(arenas());
  }
}

// What is remembered of the lists follows the allocator: pools fill up and leave at the front, and
// full ones come there when a block of theirs is given back.
TEST_P(EveryPools, PredictsOnWhileBlocksAreTakenAndGivenBack) {
  age(4000, 0.6);
  Frontier ahead = frontier(swept());
  std::vector<RemoteAddr> taken;
  for (int round = 0; round < 200; ++round) {
    const std::uint64_t n = random_() % 8;
    const auto block = ahead.find(5, n);
    ASSERT_TRUE(block) << "round " << round;
    for (std::uint64_t i = 0; i < n; ++i) taken.push_back(heap_.take(5));
    taken.push_back(heap_.take(5));
    EXPECT_EQ(taken.back(), block->address) << "round " << round << ", block " << n;
    if (round % 3 != 0) continue;
    const std::size_t back = random_() % taken.size();
    heap_.give_back(taken[back]);
    taken.erase(taken.begin() + static_cast<std::ptrdiff_t>(back));
  }
}

TEST_P(EveryPools, ReadsNoPoolAgainForTheNextQuestion) {
  age(4000, 0.6);
  Frontier ahead = frontier(swept());
  ASSERT_TRUE(ahead.find(5, 200));
  process_.memory().reads = 0;
  for (std::uint64_t n = 100; n < 200; n += 10) ASSERT_TRUE(ahead.find(5, n));
  // The head, the first pool, the one in question; and of that its chain, word by word or whole.
  const std::uint64_t walk = layout().strategies.pool_bytes / 2048 + 1;
  EXPECT_LE(process_.memory().reads, 10 * (3 + walk));
  ahead.forget_lists();
  process_.memory().reads = 0;
  ASSERT_TRUE(ahead.find(5, 200));
  EXPECT_GT(process_.memory().reads, 4U);
}

TEST_P(EveryPools, TellsWhatBecomesOfABlock) {
  age(2000, 0.6);
  Frontier ahead = frontier(swept());
  const auto block = ahead.find(5, 20);
  ASSERT_TRUE(block);
  EXPECT_EQ(ahead.use_of(*block), BlockUse::kFree);
  for (int i = 0; i <= 20; ++i) live_.push_back(heap_.take(5));
  EXPECT_EQ(ahead.use_of(*block), BlockUse::kUsed);
  heap_.give_back(block->address);
  EXPECT_EQ(ahead.use_of(*block), BlockUse::kFree);
}

// An object's first word is a count, or a link of the collector's, which may lead to the block next
// to it or to nobody.
TEST_P(EveryPools, AsksTheChainOnlyWhereTheFirstWordMayBeALink) {
  age(2000, 0.6);
  Frontier ahead = frontier(swept());
  const auto block = ahead.find(5, 0);
  const auto other = ahead.find(5, 1);
  ASSERT_TRUE(block && other);
  ASSERT_EQ(heap_.take(5), block->address);
  process_.memory().write(block->address, std::uint64_t{1});
  process_.memory().reads = 0;
  EXPECT_EQ(ahead.use_of(*block), BlockUse::kUsed);
  EXPECT_LE(process_.memory().reads, 2U);
  for (const std::uint64_t link : {other->address.value, std::uint64_t{0}}) {
    process_.memory().write(block->address, link);
    EXPECT_EQ(ahead.use_of(*block), BlockUse::kUsed);
  }
}

// What a walk comes to does not matter here; it has to end, and not to call a block free that is
// not.
TEST_P(EveryPools, EndsOnACircleOfPoolsAndOfBlocks) {
  age(300, 0.5);
  Frontier ahead = frontier(swept());
  const auto block = ahead.find(0, 0);
  ASSERT_TRUE(block);
  process_.memory().write(block->address, block->address.value);
  (void)ahead.find(0, 60);
  for (const RemoteAddr live : live_) {
    const RemoteAddr pool{live.value / layout().strategies.pool_bytes *
                          layout().strategies.pool_bytes};
    EXPECT_NE(ahead.use_of({live, pool, 0, 16}), BlockUse::kFree);
  }
  process_.image().put(block->pool, Field::kPoolNext, block->pool.value);
  EXPECT_FALSE(ahead.find(0, 1U << 30));
}

TEST_P(EveryPools, ShowsWhatIsTakenFromTheFirstPools) {
  age(2000, 0.6);
  const PoolSweep sweep = swept();
  FrontierPulse pulse(layout(), process_.memory());
  pulse.look(sweep.used_pools());
  // Taken and given back is nothing; more than the first pool has room for is seen as far as that.
  for (int i = 0; i < 3; ++i) heap_.give_back(heap_.take(0));
  heap_.take(5);
  heap_.take(5);
  FrontierPulse::Blocks seen = pulse.look(sweep.used_pools());
  EXPECT_EQ(seen[0], 0);
  EXPECT_EQ(seen[5], 2);
  EXPECT_EQ(seen[10], 0);
  for (int i = 0; i < 2000; ++i) heap_.take(10);
  seen = pulse.look(sweep.used_pools());
  EXPECT_GT(seen[10], 0);
  EXPECT_LE(seen[10], 2000);
}

TEST_P(EveryPools, ShowsNothingWhereNothingIsReadable) {
  age(300, 0.5);
  FrontierPulse pulse(layout(), process_.memory());
  for (const RemoteAddr place : {RemoteAddr{}, RemoteAddr{0x10}, heap_.arena(0)}) {
    pulse.look(place);
    EXPECT_EQ(pulse.look(place), FrontierPulse::Blocks{}) << std::hex << place.value;
  }
}

TEST_P(EveryPools, ReadsNothingThatWasNeverHandedOut) {
  age(100, 1);
  const std::uint64_t pools = swept().counts().pools;
  PoolSweep sweep(layout());
  sweep.begin(arenas());
  process_.memory().reads = 0;
  while (!sweep.step(process_.memory(), 1000)) {
  }
  EXPECT_LE(process_.memory().reads, pools + 1);
}

std::vector<int> minors() {
  std::vector<int> all;
  for (int minor = 6; minor <= 15; ++minor) all.push_back(minor);
  return all;
}
INSTANTIATE_TEST_SUITE_P(Versions, EveryPools, ::testing::ValuesIn(minors()));

}  // namespace
}  // namespace memspy::cpython
