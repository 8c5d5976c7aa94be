// One process' heap under `--mode live`: sweeps that say how much each size class has grown, paced
// by what they cost, looks in between that show what seems to grow, and the frontier that says
// which block is next. Tracer thread.
#pragma once

#include <array>
#include <chrono>
#include <memory>
#include <optional>

#include "base/clock.h"
#include "cpython/pools/arena_list.h"
#include "cpython/pools/frontier.h"
#include "cpython/pools/frontier_pulse.h"
#include "cpython/pools/pool_sweep.h"
#include "procfs/proc_dir.h"
#include "sampler/live/live_odds.h"
#include "sampler/live/live_pulse.h"
#include "sampler/target.h"

namespace memspy::sampler {

class LiveHeap {
 public:
  // kUnsupported: pymalloc is not in use.
  static Result<std::unique_ptr<LiveHeap>> open(const procfs::ProcDir& proc, const Target& target);

  // Sweeps on by one slice, where a pass is due or under way, for a share of one core's time. True:
  // a pass has ended.
  bool advance(SteadyTime now, double share);
  // A pass is under way: stops are to be answered, and then it goes on.
  bool sweeping() const { return sweep_.under_way(); }
  // A pass from the begin, whatever is due: how the heap stands at the end.
  void sweep_anew() { begin_pass(); }

  // Where one is due: a look at what has begun to grow since the last pass. True: it was.
  bool glance(SteadyTime now);
  // That the process has made by now, of all interpreters and generations; nullopt: not known now.
  std::optional<std::uint64_t> collections() const;
  // Tells the odds how each class grows in a round of this length.
  void tell(LiveOdds& odds, std::chrono::nanoseconds round) const;
  // Since the first pass; zero before the second.
  cpython::ClassBytes growth() const;
  // What there was at the first pass, in bytes; zero before.
  cpython::ClassBytes start() const;
  // As the last pass has found it.
  cpython::PymallocState state() const;
  cpython::Frontier& frontier() { return frontier_; }
  const std::vector<cpython::Arena>& arenas() const { return arenas_; }

 private:
  LiveHeap(const procfs::ProcDir& proc, const Target& target, cpython::ArenaList list);
  void begin_pass();
  void slice(std::size_t headers);
  void end_pass(SteadyTime now);
  void note_burst(std::uint32_t size_class, double blocks);
  double blocks_per_second(std::uint32_t size_class) const;

  const procfs::ProcDir& proc_;
  const Target& target_;
  cpython::ArenaList list_;
  cpython::PoolSweep sweep_;
  cpython::Frontier frontier_;
  cpython::FrontierPulse looks_;
  LivePulse pulse_;
  std::vector<cpython::Arena> arenas_;
  std::optional<cpython::PoolCounts> start_;
  cpython::PoolCounts last_;
  SteadyTime start_time_{}, last_time_{}, next_pass_{}, last_glance_{}, lists_since_{};
  std::chrono::nanoseconds price_{};                               // of the pass under way, so far
  std::array<double, cpython::kSizeClasses> blocks_per_second_{};  // moving average
  std::array<double, cpython::kSizeClasses> burst_{};              // blocks, of the last ones
  int passes_ = 0;
};

}  // namespace memspy::sampler
