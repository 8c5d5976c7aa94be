// Rounds of watching. At the begin of a round some blocks of the frontier are drawn and watched; at
// its end it is known which were taken, and after a while more which of those are still there: they
// go into the book. A block counts in the round in which it was taken for good, and in no other, so
// that its weight is one by the chance it had in that round.
//
//   |---- watching ----|-- settling --|-- resting --|---- watching ----| …
//   draw              end            judge         draw
//
// Rest is for what the budget has no room for, and what is taken meanwhile the rounds stand for:
// who keeps in bursts is told the better the less there is.
//
// Knows nothing of threads and signals: a WatchPort has those. Tracer thread.
#pragma once

#include <array>
#include <chrono>
#include <optional>

#include "base/clock.h"
#include "cpython/pools/block_content.h"
#include "cpython/pools/frontier.h"
#include "sampler/live/live_book.h"
#include "sampler/live/live_odds.h"
#include "sampler/live/stop_purse.h"

namespace memspy::sampler {

inline constexpr std::size_t kWatches = 4;  // that the processor has, for each thread

class WatchPort {
 public:
  virtual ~WatchPort() = default;
  // Writes to this address are told to the watcher from now on. False: nobody can be watched.
  virtual bool arm(std::size_t slot, RemoteAddr address) = 0;
  virtual void disarm(std::size_t slot) = 0;
  // Writes that happened and were not told.
  virtual std::uint64_t take_untold(std::size_t slot) = 0;
};

class LiveWatcher {
 public:
  static constexpr std::uint32_t kMostStops = 128;  // of one watch

  LiveWatcher(cpython::Frontier& frontier, cpython::BlockContent& content, LiveOdds& odds,
              LiveBook& book, StopPurse& purse, WatchPort& port)
      : frontier_(frontier),
        content_(content),
        odds_(odds),
        book_(book),
        purse_(purse),
        port_(port) {}

  void set_round(std::chrono::nanoseconds round, std::chrono::nanoseconds settling,
                 std::chrono::nanoseconds rest = {}) {
    round_ = round, settling_ = settling, rest_ = rest;
  }

  // What is due; when to come again.
  SteadyTime advance(SteadyTime now);
  // A thread has written to a watched block. `owner`: its stack, where that could be read.
  // `collecting`: the collector runs, and writes to every object.
  void on_write(std::size_t slot, cpython::BlockContent::Write write, bool collecting,
                std::optional<LiveOwner> owner, SteadyTime now);
  // Blocks of the book that it is time for, at most so many: are they still there?
  void review(std::size_t count, SteadyTime now);
  void review_all(SteadyTime now);
  // Nothing is watched any more.
  void cease();
  std::optional<RemoteAddr> watched(std::size_t slot) const;
  const WatchCounts& counts() const { return counts_; }
  const LiveTemporaries& temporaries() const { return temporaries_; }

 private:
  enum class State {
    kIdle,
    kArmed,
    kTaken,
    kWorn,    // no longer watched
    kUnseen,  // it was taken, and by whom nobody has seen
  };
  struct Slot {
    State state = State::kIdle;
    cpython::FreeBlock block;
    std::uint64_t nth = 0;
    double weight = 0;
    std::uint32_t stops = 0;
    std::optional<LiveOwner> owner;
    SteadyTime taken{};
    std::vector<std::byte> content;  // at the end of the round, of a block nobody was seen to take
    bool late = false;               // somebody took it before it was watched
    BlockObjects objects;
  };
  void note_write(Slot& slot, cpython::BlockContent::Write write,
                  const std::optional<LiveOwner>& owner, SteadyTime now);
  void tell_temporaries(Slot& slot, bool kept);
  void draw(SteadyTime now);
  bool add_to_watched(std::size_t before, const cpython::FreeBlock& block, double weight);
  void end_round();
  void end_watch(std::size_t i);
  void judge(SteadyTime now);
  void judge(std::size_t i, SteadyTime now);
  void retire(std::size_t i);
  void look_at(std::size_t i, SteadyTime now);  // in the book

  cpython::Frontier& frontier_;
  cpython::BlockContent& content_;
  LiveOdds& odds_;
  LiveBook& book_;
  StopPurse& purse_;
  WatchPort& port_;
  std::chrono::nanoseconds round_{}, settling_{}, rest_{};
  enum class Phase { kResting, kWatching, kSettling } phase_ = Phase::kResting;
  SteadyTime end_{};  // of the phase
  SteadyTime round_end_{};
  std::array<Slot, kWatches> slots_;
  std::size_t cursor_ = 0;  // of the review
  std::uint64_t rounds_ = 0;
  bool follows_ = true;  // there is time to look often enough at one block more
  WatchCounts counts_;
  LiveTemporaries temporaries_;
};

}  // namespace memspy::sampler
