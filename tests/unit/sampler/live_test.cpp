// The estimator of mode live: what is drawn, weighed and shared out; and whole rounds of watching
// an allocator that works in a fake memory, where what each function keeps is known.
#include <cmath>

#include "cpython/layouts.h"
#include "cpython/pools/pool_sweep.h"
#include "sampler/live/live_heap.h"
#include "sampler/live/live_pulse.h"
#include "sampler/live/live_watcher.h"
#include "support/pymalloc_image.h"
#include "support/result_matchers.h"

namespace memspy::sampler {
namespace {

using namespace std::chrono_literals;
using cpython::BlockContent;
using testing::PymallocImage;
using testing::PyProcess;

constexpr SteadyTime kStart{1h};
LiveOwner owner(std::uint32_t stack) { return {ThreadIndex{1}, StackId{stack}}; }

LiveBlock block(std::uint32_t size_class, std::optional<LiveOwner> by, double weight) {
  LiveBlock made;
  made.block.size_class = size_class;
  made.block.block_bytes = 16 * (size_class + 1);
  made.owner = by;
  made.weight = weight;
  made.taken = kStart;
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
  EXPECT_EQ(book.profile({growth, {}}, kStart + 1s).shares.size(), 1U);
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

// --- rounds ---

// A program in a fake memory: its writes to watched addresses are told as the kernel would.
class Rounds : public ::testing::Test, protected WatchPort {
 protected:
  Rounds()
      : process_(*cpython::layout_for(11)),
        heap_(process_, 14),
        sweep_(layout()),
        frontier_(layout(), process_.memory()),
        content_(layout(), process_.memory()),
        odds_(5),
        purse_(1e9, 1e9, kStart),
        watcher_(frontier_, content_, odds_, book_, purse_, *this) {
    watcher_.set_round(20ms, 20ms);
    for (int i = 0; i < 6000; ++i) old_.push_back(heap_.take(kClass));
    std::shuffle(old_.begin(), old_.end(), random_);
    for (int i = 0; i < 5000; ++i) heap_.give_back(old_[static_cast<std::size_t>(i)]);
    look();
    odds_.set_growth(kClass, 10, 1000);
  }
  static constexpr std::uint32_t kClass = 5;
  const cpython::Layout& layout() { return process_.image().layout(); }

  bool arm(std::size_t slot, RemoteAddr address) override {
    armed_.at(slot) = address;
    if (steal_) steal(address - BlockContent::kMark);
    return true;
  }
  // Takes this block, and all before it, unseen; gives them back once it has been looked at.
  void steal(RemoteAddr block) {
    for (int i = 0; i < 64; ++i) {
      stolen_.push_back(heap_.take(kClass));
      process_.memory().write(stolen_.back(), std::uint64_t{1});
      if (stolen_.back() == block) return;
    }
  }
  void disarm(std::size_t slot) override { armed_.at(slot) = {}; }
  std::uint64_t take_untold(std::size_t) override { return 0; }

  cpython::PoolCounts look() {
    std::vector<cpython::Arena> arenas = arenas_of();
    frontier_.set_arenas(arenas);
    sweep_.begin(std::move(arenas));
    while (!sweep_.step(process_.memory(), 100000)) {
    }
    frontier_.set_used_pools(sweep_.used_pools());
    frontier_.set_block_bytes(kClass, (kClass + 1) * 16);
    return sweep_.counts();
  }
  std::vector<cpython::Arena> arenas_of() {
    return cpython::ArenaList(interpreter_).read(process_.memory(), heap_.map());
  }

  // What the program does: a block is taken, and its first words written.
  RemoteAddr take(std::uint32_t stack) {
    const RemoteAddr at = heap_.take(kClass);
    process_.memory().write(at + BlockContent::kMark, std::uint64_t{0});
    write(at, stack, BlockContent::Write::kType);
    return at;
  }
  void write(RemoteAddr at, std::uint32_t stack, BlockContent::Write what) {
    for (std::size_t i = 0; i < kWatches; ++i) {
      if (armed_[i] == at + BlockContent::kMark)
        watcher_.on_write(i, what, false, owner(stack), now_);
    }
  }
  void pass(std::chrono::nanoseconds time) {
    now_ += time;
    // A fixed length would beat with what the program does.
    watcher_.set_round(std::chrono::milliseconds(15 + random_() % 11), 20ms, rest_);
    while (watcher_.advance(now_) <= now_) {
    }
    if (steal_for_good_) return;
    for (auto it = stolen_.rbegin(); it != stolen_.rend(); ++it) heap_.give_back(*it);
    stolen_.clear();
  }
  LiveProfile profile() {
    cpython::ClassBytes growth{};
    growth[kClass] = 1'000'000;
    return book_.profile({growth, {}}, now_);
  }
  double share(const LiveProfile& of, std::uint32_t stack) {
    for (const LiveShare& entry : of.shares)
      if (entry.owner == owner(stack)) return static_cast<double>(entry.bytes) / 1e6;
    return 0;
  }

  std::mt19937_64 random_{3};
  PyProcess process_;
  PymallocImage heap_;
  static cpython::Anchors anchors(PyProcess& process) {
    cpython::Anchors anchors;
    anchors.arenas = process.arenas_variable();
    anchors.max_arenas = process.module().symbols["maxarenas"];
    return anchors;
  }
  cpython::Interpreter interpreter_{
      {}, std::make_shared<cpython::Layout>(process_.image().layout()), anchors(process_)};
  cpython::PoolSweep sweep_;
  cpython::Frontier frontier_;
  BlockContent content_;
  LiveOdds odds_;
  LiveBook book_;
  StopPurse purse_;
  LiveWatcher watcher_;
  std::array<RemoteAddr, kWatches> armed_{};
  SteadyTime now_ = kStart;
  std::chrono::nanoseconds rest_{};
  std::vector<RemoteAddr> old_;
  bool steal_ = false, steal_for_good_ = false;
  std::vector<RemoteAddr> stolen_;
};

TEST_F(Rounds, SeveralKeepersInOneClassBesideTemporaries) {
  constexpr std::uint32_t kChurner = 9;
  std::array<int, 4> kept{};
  pass(0ms);
  for (int step = 0; step < 4000; ++step) {
    for (int i = 0; i < 3; ++i) heap_.give_back(take(kChurner));
    const std::uint32_t by = step % 10 < 6 ? 1 : step % 10 < 9 ? 2 : 3;
    (void)take(by);
    ++kept[by];
    for (int i = 0; i < 3; ++i) heap_.give_back(take(kChurner));
    pass(2ms);
  }
  pass(60ms);
  const LiveProfile found = profile();
  EXPECT_EQ(share(found, kChurner), 0);
  for (std::uint32_t by = 1; by <= 3; ++by)
    EXPECT_NEAR(share(found, by), kept[by] / 4000.0, 0.08) << "keeper " << by;
  EXPECT_GT(watcher_.counts().kept, 200U);
}

// One keeps only while rounds follow each other, the other as much while there is rest between
// them, and three of four blocks are taken unwatched.
TEST_F(Rounds, WhatIsTakenWhileTheyRestIsStoodFor) {
  pass(0ms);
  for (int step = 0; step < 24000; ++step) {
    const bool rests = step / 500 % 2 == 0;
    rest_ = rests ? 120ms : 0ms;
    (void)take(rests ? 1 : 2);
    pass(2ms);
    if (step % 500 == 0) look();
  }
  pass(200ms);
  EXPECT_NEAR(share(profile(), 2), 0.5, 0.12);
  EXPECT_GT(watcher_.counts().kept, 200U);
}

// As much is kept in bursts of 200 as one by one: neither may look like more.
TEST_F(Rounds, BurstsCountAsMuchAsWhatIsKeptOneByOne) {
  pass(0ms);
  for (int step = 0; step < 12000; ++step) {
    (void)take(1);
    if (step % 200 == 117) {
      for (int i = 0; i < 200; ++i) (void)take(2);
    }
    pass(2ms);
    if (step % 500 == 0) look();
  }
  pass(60ms);
  EXPECT_NEAR(share(profile(), 2), 0.5, 0.15);
}

TEST_F(Rounds, WhatIsGivenBackLaterLeavesTheBook) {
  pass(0ms);
  std::vector<RemoteAddr> held;
  for (int step = 0; step < 400; ++step) {
    held.push_back(take(1));
    (void)take(2);
    pass(2ms);
  }
  pass(60ms);
  for (const RemoteAddr at : held) heap_.give_back(at);
  watcher_.review_all(now_);
  EXPECT_EQ(share(profile(), 1), 0);
  EXPECT_GT(share(profile(), 2), 0.99);
}

// Those that are young are looked at often, the others seldom.
TEST_F(Rounds, LooksAtWhatIsThereByItsAge) {
  pass(0ms);
  for (int step = 0; step < 200; ++step) {
    (void)take(1);
    pass(2ms);
  }
  pass(60ms);
  const std::size_t blocks = book_.size();
  ASSERT_GT(blocks, 10U);
  const auto reads_of = [&](std::size_t count, std::chrono::nanoseconds later) {
    process_.memory().reads = 0;
    watcher_.review(count, now_ + later);
    return process_.memory().reads;
  };
  const std::size_t all = reads_of(blocks + 1, 10s);
  EXPECT_GT(all, blocks);
  EXPECT_LE(reads_of(blocks + 1, 11s), all / 3);  // none is due; one of the others
  EXPECT_LE(reads_of(1, 30s), all / 3);
  EXPECT_GT(reads_of(blocks + 1, 30s), all / 2);
}

TEST_F(Rounds, TheCollectorsLinksMakeNobodyAnOwner) {
  pass(0ms);
  for (int step = 0; step < 400; ++step) {
    const RemoteAddr at = take(1);
    write(at, 7, BlockContent::Write::kLink);
    pass(2ms);
  }
  pass(60ms);
  EXPECT_EQ(share(profile(), 7), 0);
}

TEST_F(Rounds, AWatchThatNeverRestsIsGivenUp) {
  pass(0ms);
  for (int step = 0; step < 200; ++step) {
    for (int i = 0; i < 400; ++i) heap_.give_back(take(9));
    pass(20ms);
  }
  EXPECT_GT(watcher_.counts().worn, 0U);
  EXPECT_EQ(share(profile(), 9), 0);
}

TEST_F(Rounds, TellsWhoseObjectsComeAndGo) {
  pass(0ms);
  for (int step = 0; step < 400; ++step) {
    for (int i = 0; i < 3; ++i) heap_.give_back(take(9));
    (void)take(1);
    pass(2ms);
  }
  pass(60ms);
  const ObjectCounts counts = watcher_.temporaries().counts();
  ASSERT_TRUE(counts.contains(owner(9)));
  EXPECT_GT(counts.at(owner(9)), 50U);
  EXPECT_FALSE(counts.contains(owner(1)));
}

// Somebody takes each block between the moment it is drawn and the one it is watched from, and
// gives it back: what comes into it then is seen all the same.
TEST_F(Rounds, ABlockThatIsTakenTooEarlyIsNotLost) {
  steal_ = true;
  pass(0ms);
  for (int step = 0; step < 400; ++step) {
    (void)take(1);
    pass(2ms);
  }
  pass(60ms);
  EXPECT_GT(watcher_.counts().kept, 20U);
  EXPECT_GT(share(profile(), 1), 0.99);
  EXPECT_EQ(share(profile(), 8), 0);
}

// ...and keeps it: it is nobody's, and no block of whoever writes to it later.
TEST_F(Rounds, ABlockThatIsTakenTooEarlyAndKeptTellsNothing) {
  steal_ = steal_for_good_ = true;
  pass(0ms);
  for (int step = 0; step < 100; ++step) {
    for (const RemoteAddr at : stolen_) write(at, 7, BlockContent::Write::kLink);
    pass(2ms);
  }
  pass(60ms);
  EXPECT_GT(watcher_.counts().late, 0U);
  EXPECT_EQ(share(profile(), 7), 0);
}

TEST_F(Rounds, NothingIsWatchedAtTheEnd) {
  pass(0ms);
  watcher_.cease();
  for (const RemoteAddr at : armed_) EXPECT_FALSE(at);
}

}  // namespace
}  // namespace memspy::sampler
