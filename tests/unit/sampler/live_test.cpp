// The estimator of mode live: what is drawn, weighed and shared out.
#include <cmath>

#include <gtest/gtest.h>

#include "sampler/live/live_book.h"
#include "sampler/live/live_odds.h"
#include "sampler/live/live_pulse.h"
#include "sampler/live/stop_purse.h"
#include "unit/sampler/live_common.h"

namespace memspy::sampler {
namespace {

using namespace std::chrono_literals;
using cpython::BlockContent;

LiveBlock block(std::uint32_t size_class, std::optional<LiveOwner> by, double weight) {
  LiveBlock made;
  made.block.size_class = size_class;
  made.block.block_bytes = 16 * (size_class + 1);
  made.owner = by;
  made.weight = weight;
  made.taken = kStart;
  static std::uint64_t rounds = 0;
  made.round = ++rounds;
  return made;
}

TEST(LiveOdds, TheChancesOfAClassAddUpToOne) {
  LiveOdds odds(1);
  odds.set_growth(5, 40, 4000);
  double sum = 0;
  for (std::uint64_t n = 0; n < 2000; ++n) sum += odds.chance(5, n);
  EXPECT_NEAR(sum, 1, 1e-9);
}

TEST(LiveOdds, DrawsByItsChances) {
  LiveOdds odds(1);
  odds.set_growth(5, 40, 4000);
  odds.set_growth(9, 10, 1000);
  constexpr int kDraws = 200000;
  std::array<int, 4> drawn{};
  double weight = 0;
  for (int i = 0; i < kDraws; ++i) {
    const auto draw = odds.draw();
    drawn[0] += draw.size_class == 5;
    drawn[1] += draw.size_class == 5 && draw.nth == 0;
    drawn[2] += draw.size_class == 5 && draw.nth == 79;
    drawn[3] += draw.size_class == 5 && draw.nth == 300;
    if (draw.size_class == 9 && draw.nth < 20) weight += draw.weight / kDraws;
  }
  const auto share = [](int n) { return static_cast<double>(n) / kDraws; };
  EXPECT_NEAR(share(drawn[0]), odds.class_chance(5), 0.005);
  for (const auto& [i, n] : {std::pair{1, 0}, {2, 79}, {3, 300}})
    EXPECT_NEAR(share(drawn[i]) / (odds.class_chance(5) * odds.chance(5, n)), 1, 0.2) << n;
  // Each of twenty blocks counts once, whatever its chance.
  EXPECT_NEAR(weight, 20, 1);
}

TEST(LiveOdds, ReachesAsFarAsBlocksWereTaken) {
  LiveOdds odds(1);
  odds.set_growth(5, 1, 100);
  EXPECT_EQ(odds.chance(5, 5000), 0);
  odds.note_taken(5, 4000);
  EXPECT_GT(odds.chance(5, 5000), 0);
  for (int i = 0; i < 2000; ++i) odds.next_round();
  EXPECT_EQ(odds.chance(5, 5000), 0);
}

TEST(LiveOdds, ReachesAsFarAsABurst) {
  LiveOdds odds(1);
  odds.set_growth(5, 10, 1000);
  EXPECT_EQ(odds.chance(5, 2000), 0);
  odds.expect_burst(5, 3000);
  EXPECT_GT(odds.chance(5, 2000), 1e-4);
}

TEST(LiveBook, SharesTheGrowthOfEachClassOutByWeight) {
  LiveBook book;
  book.add(block(3, owner(1), 30));
  book.add(block(3, owner(2), 10));
  book.add(block(7, owner(2), 1));
  cpython::ClassBytes growth{};
  growth[3] = 4000, growth[7] = 100, growth[9] = 500, growth[11] = -64;
  const LiveProfile profile = book.profile({growth, {}}, kStart + 1s);
  ASSERT_EQ(profile.shares.size(), 2U);
  EXPECT_EQ(profile.shares[0].bytes, 3000U);
  EXPECT_EQ(profile.shares[1].bytes, 1100U);
  EXPECT_EQ(profile.shares[1].blocks, 2U);
  EXPECT_EQ(profile.unattributed_bytes, 500U);
  EXPECT_EQ(profile.shrunk_bytes, 64U);
  EXPECT_EQ(profile.shares[0].youngest, 1s);
}

TEST(LiveBook, WhatNobodyWasSeenToTakeStaysWithNobody) {
  LiveBook book;
  book.add(block(3, owner(1), 30));
  book.add(block(3, std::nullopt, 10));
  cpython::ClassBytes growth{};
  growth[3] = 4000;
  const LiveProfile profile = book.profile({growth, {}}, kStart + 1s);
  EXPECT_EQ(profile.shares.at(0).bytes, 3000U);
  EXPECT_EQ(profile.unattributed_bytes, 1000U);
}

TEST(LiveBook, CountsOnlyWhatIsOldEnough) {
  LiveBook book;
  book.add(block(3, owner(1), 1));
  LiveBlock young = block(3, owner(2), 9);
  young.taken = kStart + 900ms;
  book.add(young);
  cpython::ClassBytes growth{};
  growth[3] = 1000;
  book.set_least_age({500ms});
  const LiveProfile old = book.profile({growth, {}}, kStart + 1s);
  ASSERT_EQ(old.shares.size(), 1U);
  EXPECT_EQ(old.shares[0].bytes, 100U);  // what is younger keeps its part
  EXPECT_EQ(old.unattributed_bytes, 900U);
  book.set_least_age({50ms});
  EXPECT_EQ(book.profile({growth, {}}, kStart + 1s).shares.size(), 2U);
}

TEST(LiveBook, CountsOnlyWhatTheCollectorHasLeftAlone) {
  LiveBook book;
  LiveBlock old = block(3, owner(1), 1);
  old.collections = 0;
  book.add(old);
  LiveBlock young = block(3, owner(2), 9);
  young.collections = 40;
  book.add(young);
  cpython::ClassBytes growth{};
  growth[3] = 1000;
  book.count_collections(42);
  book.add(block(3, owner(3), 1));  // has not been counted with yet
  book.set_least_age({0s, 3});
  EXPECT_EQ(book.profile({growth, {}}, kStart + 1s).shares.size(), 1U);
  book.set_least_age({0s, 2});
  const auto both = book.profile({growth, {}}, kStart + 1s).shares;
  ASSERT_EQ(both.size(), 2U);
  EXPECT_EQ(both[0].collections, 42U);
  EXPECT_EQ(both[1].collections, 2U);
}

// Of a trickle that has a kilobyte a pass, ten blocks of which are watched each time, and a burst.
class Burst : public ::testing::Test {
 protected:
  static constexpr int kPasses = 20, kBurstAt = 7;
  LiveBook book_;
  cpython::ClassBytes growth_{};

  void pass_over(double burst, bool watched) {
    book_.note_pass(kStart, growth_);
    for (int i = 0; i < kPasses; ++i) {
      for (int at = 0; at < 10; ++at) book_.add(taken(1, after(i + 0.05 + 0.08 * at), 1));
      growth_[3] += 1000;
      if (i == kBurstAt) {
        growth_[3] += static_cast<std::int64_t>(burst);
        if (watched) book_.add(taken(2, after(i + 0.5), 70));  // for far too many blocks
      }
      book_.note_pass(kStart + (i + 1) * 1s, growth_);
    }
  }
  static LiveBlock taken(std::uint32_t stack, SteadyTime at, double weight) {
    LiveBlock one = block(3, owner(stack), weight);
    one.taken = at;
    return one;
  }
  static SteadyTime after(double seconds) {
    return kStart + std::chrono::nanoseconds(std::llround(seconds * 1e9));
  }
  LiveProfile profile() { return book_.profile({growth_, {}}, kStart + kPasses * 1s); }
};

TEST_F(Burst, OfWhichNoBlockWasWatchedIsNobodys) {
  pass_over(50'000, false);
  const LiveProfile found = profile();
  ASSERT_EQ(found.shares.size(), 1U);
  EXPECT_NEAR(static_cast<double>(found.shares[0].bytes), 20'000, 100);
  EXPECT_NEAR(static_cast<double>(found.unattributed_bytes), 50'000, 100);
}

TEST_F(Burst, IsToldByItsBlocksAndBoundedByWhatCameThen) {
  pass_over(7'000, true);
  const LiveProfile found = profile();
  ASSERT_EQ(found.shares.size(), 2U);
  EXPECT_NEAR(static_cast<double>(found.shares[0].bytes), 20'000, 100);
  EXPECT_NEAR(static_cast<double>(found.shares[1].bytes), 7'000, 100);
}

TEST_F(Burst, ThatIsGivenBackLeavesTheOthersAlone) {
  pass_over(50'000, false);
  growth_[3] -= 50'000;
  book_.note_pass(kStart + (kPasses + 1) * 1s, growth_);
  const LiveProfile found = profile();
  EXPECT_EQ(found.shares.at(0).bytes + found.unattributed_bytes, 20'000U);
  EXPECT_LT(found.unattributed_bytes, 20U);
}

TEST(LiveBook, TheErrorFallsWithTheNumberOfBlocks) {
  cpython::ClassBytes growth{};
  growth[3] = 1000000;
  const auto error = [&](int blocks) {
    LiveBook book;
    for (int i = 0; i < blocks; ++i) book.add(block(3, owner(1 + i % 2), 1));
    return std::sqrt(book.profile({growth, {}}, kStart + 1s).shares.at(0).variance);
  };
  EXPECT_NEAR(error(100), 50000, 500);  // sqrt(p (1 - p) / n) of the growth
  EXPECT_NEAR(error(400), 25000, 500);
}

// Of one round, blocks tell as much as one that counts for them.
TEST(LiveBook, BlocksOfOneRoundAreNoMoreThanOne) {
  const auto variance = [](bool together) {
    LiveBook book;
    for (int i = 0; i < 80; ++i) {
      LiveBlock one = block(3, owner(static_cast<std::uint32_t>(1 + i / 4 % 2)), 1);
      if (together) one.round = static_cast<std::uint64_t>(i / 4);
      book.add(one);
    }
    cpython::ClassBytes growth{};
    growth[3] = 8000;
    return book.profile({growth, {}}, kStart + 1s).shares.at(0).variance;
  };
  EXPECT_NEAR(variance(true) / variance(false), 4, 0.5);
}

TEST(LiveBook, ForgetsByLotWhenItIsFull) {
  LiveBook book;
  for (std::size_t i = 0; i < LiveBook::kMaxBlocks + 10; ++i) book.add(block(3, owner(1), 1));
  EXPECT_LE(book.size(), LiveBook::kMaxBlocks);
  cpython::ClassBytes growth{};
  growth[3] = 1000;
  EXPECT_EQ(book.profile({growth, {}}, kStart + 1s).shares.at(0).bytes, 1000U);
}

TEST(StayCurve, IsOneWhereNothingGoes) {
  const StayCurve curve({{1, 5}, {9, 1}}, {});
  EXPECT_EQ(curve.at(0.5), 1);
  EXPECT_EQ(curve.at(20), 1);
}

TEST(StayCurve, IsZeroWhereAllThatWereOlderWent) {
  const StayCurve curve({{0.1, 1}, {1.2, 1}}, {{1.3, 1}, {1.4, 1}, {1.3, 1}});
  EXPECT_EQ(curve.at(0.1), 0);
  EXPECT_EQ(curve.at(1.2), 0);
}

TEST(StayCurve, IsThatOfBlocksOfTheSameAge) {
  // Of ten, nine go at the age of one second: one of ten stays, and what is older has stayed.
  const StayCurve curve({{8, 1}}, std::vector<Life>(9, {1, 1}));
  EXPECT_NEAR(curve.at(0.5), 0.1, 1e-9);
  EXPECT_EQ(curve.at(8), 1);
}

TEST(StayCurve, GoesByWeight) {
  EXPECT_NEAR(StayCurve({{0.5, 1}, {8, 30}}, {{1, 10}}).at(0.5), 0.75, 1e-9);
}

// A leak of the same class, and a queue whose blocks live for a second each.
LiveBook book_of_a_leak_and_a_queue() {
  LiveBook book;
  for (int i = 0; i < 20; ++i) {
    LiveBlock of_queue = block(3, owner(2), 1);
    of_queue.taken = kStart + i * 1s;
    of_queue.followed = true;
    book.add(of_queue);
    LiveBlock leaked = block(3, owner(1), 1);
    leaked.taken = kStart + i * 1s;
    book.add(leaked);
  }
  for (std::size_t i = book.size(); i-- > 0;) {
    const LiveBlock& one = book.at(i);
    if (one.owner == owner(2) && one.taken < kStart + 19s) book.drop(i, one.taken + 1200ms);
  }
  return book;
}

// What the queue has of the growth, where the class has grown by so many blocks from so many.
double bytes_of_the_queue(std::int64_t grown, std::int64_t start) {
  LiveChange change;
  change.growth[3] = grown * 64, change.start[3] = start * 64;
  const LiveProfile profile = book_of_a_leak_and_a_queue().profile(change, kStart + 20s);
  EXPECT_NEAR(static_cast<double>(profile.attributed_bytes()), static_cast<double>(grown) * 64, 2);
  return static_cast<double>(profile.shares.at(1).bytes);
}

TEST(LiveBook, WhatReplacesWhatWasThereIsNoGrowth) {
  // One of 21 blocks; and that the others stay is told by twenty of them, which is not for sure.
  EXPECT_NEAR(bytes_of_the_queue(20, 500), 64.0 / 3, 3);
}

TEST(LiveBook, OfWhatJustBeganNothingIsReplaced) {
  EXPECT_NEAR(bytes_of_the_queue(21, 0), 64, 1);
  const double little = bytes_of_the_queue(21, 1);
  EXPECT_GT(little, 64.0 / 3);
  EXPECT_LT(little, 64);
}

// A class that has grown by far more than those who stay can have made: queues became longer.
TEST(LiveBook, QueuesThatBecomeLongerAreGrowth) {
  EXPECT_NEAR(bytes_of_the_queue(210, 500), 640, 1);
}

// Only queues, and yet the class has grown: somebody has.
TEST(LiveBook, GrowthHasOwnersEvenIfAllOfThemGo) {
  LiveBook book;
  LiveBlock one = block(3, owner(1), 1);
  one.followed = true;
  book.add(one);
  book.add(one);
  book.drop(0, kStart + 5s);
  cpython::ClassBytes growth{}, start{};
  growth[3] = 1000, start[3] = 50'000;
  EXPECT_EQ(book.profile({growth, start}, kStart + 1s).shares.at(0).bytes, 1000U);
}

LivePulse::Blocks taken(std::uint32_t size_class, std::int64_t blocks) {
  LivePulse::Blocks all{};
  all[size_class] = blocks;
  return all;
}

TEST(LivePulse, AClassThatTakesBlocksShowsASign) {
  LivePulse pulse;
  pulse.note(taken(5, 2), 0.05);
  EXPECT_EQ(pulse.rate(5), 0);  // two may be anything
  for (int i = 0; i < 100; ++i) pulse.note(taken(5, 2), 0.05);
  EXPECT_NEAR(pulse.rate(5), 40, 1);
  EXPECT_EQ(pulse.rate(6), 0);
  EXPECT_EQ(pulse.taken(5), 202);
}

TEST(LivePulse, WhatIsGivenBackIsNoSign) {
  LivePulse pulse;
  for (int i = 0; i < 100; ++i) {
    pulse.note(taken(5, 3), 0.05);
    pulse.note(taken(5, -3), 0.05);
  }
  EXPECT_EQ(pulse.rate(5), 0);
}

TEST(LivePulse, APassBeginsAnew) {
  LivePulse pulse;
  pulse.note(taken(5, 20), 0.05);
  pulse.note_pass(taken(5, 20));
  EXPECT_EQ(pulse.taken(5), 0);
  EXPECT_EQ(pulse.rate(5), 0);
}

// Up and down by dozens: passes find nothing, and the class has to show more each time.
TEST(LivePulse, SignsThatWereWrongAreTrustedLess) {
  LivePulse pulse;
  int wrong = 0;
  for (int i = 0; i < 20; ++i) {
    pulse.note(taken(5, 30), 0.05);
    wrong += pulse.rate(5) > 0 ? 1 : 0;
    pulse.note_pass({});
  }
  EXPECT_EQ(wrong, 3);
  pulse.note(taken(5, 30), 0.05);
  pulse.note_pass(taken(5, 30));
  pulse.note(taken(5, 30), 0.05);
  EXPECT_GT(pulse.rate(5), 0);
}

TEST(StopPurse, LendsWhatAWatchMayNeedAndTakesTheRestBack) {
  StopPurse purse(100, 512, kStart);
  EXPECT_TRUE(purse.take(128, kStart));
  EXPECT_FALSE(purse.take(128, kStart));
  purse.give_back(127);
  EXPECT_FALSE(purse.take(128, kStart));
  EXPECT_TRUE(purse.take(128, kStart + 10ms));
  for (int i = 0; i < 4; ++i) EXPECT_TRUE(purse.take(128, kStart + 1h));
  EXPECT_FALSE(purse.take(128, kStart + 1h));
}

TEST(StopPurse, WhatSettingAWatchCostsIsNotGivenBack) {
  StopPurse purse(100, 4 * (128 + 2), kStart, 2);
  EXPECT_TRUE(purse.take(128, kStart));  // one at once
  for (int i = 0; i < 4; ++i) EXPECT_TRUE(purse.take(128, kStart + 1h)) << i;
  EXPECT_FALSE(purse.take(128, kStart + 1h));
  purse.give_back(128);
  EXPECT_FALSE(purse.take(128, kStart + 1h));
  purse.give_back(2);
  EXPECT_TRUE(purse.take(128, kStart + 1h));
  purse.undo(128);  // of one that was not set
  EXPECT_TRUE(purse.take(128, kStart + 1h));
  purse.undo(128);
  purse.charge(1);
  EXPECT_FALSE(purse.take(128, kStart + 1h));
}

std::uint64_t begun(const std::vector<BlockContent::Write>& writes, bool occupied = false) {
  BlockObjects objects;
  if (occupied) objects.set_occupied();
  std::uint64_t begun = 0;
  for (const auto write : writes) begun += objects.begins(write) ? 1 : 0;
  return begun;
}

TEST(BlockObjects, EachIsCountedOnce) {
  using enum BlockContent::Write;
  EXPECT_EQ(begun({kType, kType, kType}), 3U);
  EXPECT_EQ(begun({kZero, kType, kZero, kType}), 2U);  // cleared memory, and then an object
  EXPECT_EQ(begun({kZero, kZero, kLink, kLink, kZero, kZero, kLink, kZero, kType}), 3U);
  EXPECT_EQ(begun({kZero, kLink, kZero, kLink, kLink, kZero, kLink}), 3U);  // by a free list
  EXPECT_EQ(begun({kOther, kOther, kOther}), 1U);
  EXPECT_EQ(begun({kLink, kLink, kLink}), 1U);  // up to 3.7
}

TEST(BlockObjects, TheEndOfWhatWasThereBeforeIsNoBegin) {
  using enum BlockContent::Write;
  EXPECT_EQ(begun({kLink, kZero}, true), 0U);
  EXPECT_EQ(begun({kOther}, true), 0U);
  EXPECT_EQ(begun({kZero, kZero, kLink}, true), 1U);
  EXPECT_EQ(begun({kType}, true), 1U);
}

TEST(LiveTemporaries, WhatIsStillThereIsNone) {
  BlockObjects objects;
  for (const std::uint32_t stack : {1U, 2U, 1U}) objects.note(owner(stack));
  objects.forget_last();
  LiveTemporaries temporaries;
  temporaries.add(objects);
  temporaries.add(objects);
  const ObjectCounts expected{{owner(1), 2}, {owner(2), 2}};
  EXPECT_EQ(temporaries.counts(), expected);
}

}  // namespace
}  // namespace memspy::sampler
