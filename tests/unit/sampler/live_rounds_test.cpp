// Whole rounds of watching an allocator that works in a fake memory, where what each function keeps
// is known.
#include "cpython/layouts.h"
#include "cpython/pools/pool_sweep.h"
#include "sampler/live/live_watcher.h"
#include "support/pymalloc_image.h"
#include "support/result_matchers.h"
#include "unit/sampler/live_common.h"

namespace memspy::sampler {
namespace {

using namespace std::chrono_literals;
using cpython::BlockContent;
using testing::PymallocImage;
using testing::PyProcess;

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

// What has ended goes into a free list of the interpreter, and comes from there to somebody else.
TEST_F(Rounds, WhatComesFromAFreeListIsWhoseItIsNow) {
  using enum BlockContent::Write;
  pass(0ms);
  for (int step = 0; step < 400; ++step) {
    const RemoteAddr at = heap_.take(kClass);
    for (const auto& [stack, what] : {std::pair{9U, kZero}, {9U, kLink}, {8U, kZero}, {1U, kLink}})
      write(at, stack, what);
    pass(2ms);
  }
  pass(60ms);
  EXPECT_GT(share(profile(), 1), 0.99);
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
