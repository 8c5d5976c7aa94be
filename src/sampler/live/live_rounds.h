// Mode live, but for how the writes to watched blocks become known: the heaps of the processes of a
// run, rounds of watching on each of them, sweeps in between, and the profile that they make. The
// watches are perf events, the same four addresses on every thread of a process; an engine opens
// them, and tells of writes. docs/design/0004-live-heap.md says why so.
//
// Tracer thread.
#pragma once

#include <map>
#include <memory>
#include <random>
#include <unordered_map>
#include <vector>

#include "attach/perf_watch.h"
#include "sampler/engines/engine.h"
#include "sampler/live/live_watcher.h"
#include "sampler/roster.h"
#include "sampler/stack_interner.h"
#include "sampler/stop_signal.h"

namespace memspy::sampler {

struct WatchedThread {
  Tid tid;
  Target* target = nullptr;
  ThreadIndex index;
  StopSignal signal;     // with which its watches stop it; an engine may have no use for it
  bool refused = false;  // no watchpoint can be set on it
  std::vector<attach::PerfWatch> watches;
};

class WatchSource {
 public:
  virtual ~WatchSource() = default;
  // Opens the watches of a thread, as many as can be had; none: not now, or with `refused` never.
  // `newborn`: it has just begun.
  virtual void open(WatchedThread& thread, bool newborn) = 0;
  // Writes to this address of the process will count from now on; and no more.
  virtual void expect(const Target&, RemoteAddr) {}
  virtual void forget(const Target&, RemoteAddr) {}
  // Tells of the writes that have happened by now, and of threads that have ended.
  virtual void catch_up() = 0;
};

// What things cost the target and memspy, and which part of the budget each may use.
struct LivePrices {
  double write = 0;  // seconds: of one that a watch sees, besides the exception
  double birth = 0;  // …of a thread that is watched from its birth on
  double writes_share = 0, sweeps_share = 0, rounds_share = 0, births_share = 0;
};

class LiveRounds {
 public:
  LiveRounds(EngineContext& context, Roster& roster, StackInterner& interner, WatchSource& source,
             const LivePrices& prices);
  ~LiveRounds();

  WatchedThread& add_thread(Target& target, Tid tid);
  // One that has just begun is watched for what the others are.
  void welcome(WatchedThread& thread);
  void end_thread(Tid tid);
  WatchedThread* find(Tid tid);
  const std::unordered_map<Tid, std::unique_ptr<WatchedThread>>& threads() const {
    return threads_;
  }

  // Has any thread of it watches?
  bool watches(const Target& target) const { return watched_threads(target) > 0; }
  // The block in whose second word this watch of the process looks for a write; nullopt: none.
  std::optional<RemoteAddr> watched_block(const Target& target, std::size_t slot) const;
  cpython::BlockContent* content_of(const Target& target);
  // One of the writes that are counted is known.
  void note_told(const Target& target, std::size_t slot);
  // A write to such a block. `owner`: nullopt where its stack could not be read.
  void on_write(const Target& target, std::size_t slot, cpython::BlockContent::Write write,
                bool collecting, const std::optional<LiveOwner>& owner, SteadyTime time);

  // What is due; when to come again, at the latest. What was written before should have been told.
  SteadyTime work(SteadyTime now);
  // The last look: no watch is left, then the heap as it is, and what is still there of the book.
  void cease_watching();
  void look_last();

 private:
  struct Heap;  // of one process
  Heap* heap_of(const Target& target) const;
  bool has_threads(const Target& target) const;
  bool open_watches(WatchedThread& thread, bool newborn);
  std::size_t watched_threads(const Target& target) const;
  void look_for_heap(Target& target, SteadyTime now);
  void advance(Heap& heap, SteadyTime now);
  void begin_round(Heap& heap, double budget);
  void publish(Heap& heap);

  EngineContext& context_;
  Roster& roster_;
  StackInterner& interner_;
  WatchSource& source_;
  LivePrices prices_;
  double write_price_ = 0, watch_fee_ = 0;  // seconds; in writes
  std::unordered_map<Tid, std::unique_ptr<WatchedThread>> threads_;
  std::map<std::uint32_t, std::unique_ptr<Heap>> heaps_;  // by process index
  std::map<std::uint32_t, SteadyTime> next_search_;       // …of those without one
  std::minstd_rand random_;
};

}  // namespace memspy::sampler
