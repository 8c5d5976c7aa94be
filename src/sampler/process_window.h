// One process as the collector sees it: its page ledger, its RSS at the edges of the window that
// samples cover, and its series. Closes each tick by reconciling what stacks explain with what RSS
// says; the difference is [unattributed].
//
//   rss(now) - rss(begin) + shrink  =  attributed  +  unattributed
//
// Collector thread.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "memspy/sample.h"
#include "procfs/proc_dir.h"
#include "sampler/event_queue.h"
#include "sampler/page_ledger.h"
#include "sampler/series_collector.h"

namespace memspy::sampler {

// The growth of one process over its window, as reconciled last.
struct WindowGrowth {
  std::uint64_t attributed_bytes = 0;
  std::uint64_t unattributed_bytes = 0;
  std::uint64_t shrink_bytes = 0;
  std::uint64_t rss_begin_bytes = 0, rss_end_bytes = 0, rss_peak_bytes = 0;
};

class ProcessWindow {
 public:
  // `share`: of one core, for audits and dear figures.
  ProcessWindow(const procfs::ProcDir& proc, ProcessRecord record, double share);

  const ProcessRecord& record() const { return record_; }
  void update(ProcessRecord record) { record_ = std::move(record); }
  void set_interpreter(std::shared_ptr<const cpython::Interpreter> found) {
    series_.set_interpreter(std::move(found));
  }
  void tell_pymalloc(const cpython::PymallocState& state) { series_.tell_pymalloc(state); }

  // Reads what is resident now. Before sampling begins where that can be arranged.
  void take_baseline();
  bool has_baseline() const { return has_baseline_; }
  // It was there when the run began: what it has then is where the run starts from. What another
  // brings along is growth of the tree when it stays, and none of the run's when it goes.
  void set_initial() { initial_ = true; }
  bool initial() const { return initial_; }
  void set_share(double share) {
    share_ = share;
    series_.set_share(share);
  }
  // Of a fork: whom the memory that it shares with its parent is charged to, should it count.
  using Owner = std::pair<ThreadIndex, StackId>;
  void set_inherits(std::optional<Owner> owner) { inherits_ = owner; }
  const std::optional<Owner>& inherits() const { return inherits_; }
  // `copied`: the process is a fork that shares its baseline with its parent.
  void begin(std::uint64_t rss_bytes, bool copied);
  void add(const FaultSample& sample);
  void await(const FaultsAwaited& faults);
  // A new batch of samples begins: mappings may have changed since the last one.
  void begin_batch() { map_stale_ = true; }
  void fork() { ledger_.note_fork(); }
  enum class End {
    kGoesOn,   // the process does, sampling has ended
    kLeaves,   // the process exits
    kToldToo,  // the process was sent the signal that ends the run, and may be clearing up
  };
  // Sampling has ended at this RSS; 0: the last known stands. The memory can still be looked at.
  // An interpreter gives back what it can before it exits, which is not what the program did: where
  // RSS has fallen since the last tick, what it was then counts, with what was seen to be touched
  // since. kToldToo: a look at the pages would see any part of that, once it is under way.
  void end(std::uint64_t rss_bytes, End how);
  // The memory is gone (exit, exec). What was known of it last stays.
  void lose();
  bool lost() const { return lost_; }

  // Brings the ledger up to date, then RSS; order matters: what is explained must be in RSS
  // already. `point`: the series at this tick, absent once the memory is gone.
  struct Tick {
    std::vector<LedgerDelta> growth;
    std::int64_t unattributed_change_bytes = 0;
    std::optional<SeriesPoint> point;
  };
  Tick tick(SteadyTime now, bool last);

  const WindowGrowth& growth() const { return growth_; }
  const PageLedger& ledger() const { return ledger_; }
  PageLedger& ledger() { return ledger_; }

 private:
  bool look(SteadyTime now, bool last);
  std::uint64_t attributed_now() const;
  std::uint64_t rss_when_lost() const;
  bool cleared_up() const;
  bool worth_a_look() const;
  std::uint64_t rss_at(std::uint64_t seen) const;
  void reconcile(std::uint64_t rss_bytes, std::optional<PageLedger::Settling> settling);
  void refresh_map();

  const procfs::ProcDir& proc_;
  ProcessRecord record_;
  double share_;
  std::unique_ptr<PageTables> tables_;
  PageLedger ledger_;
  SeriesCollector series_;
  MemoryMap map_;
  bool map_stale_ = true;
  bool has_baseline_ = false, initial_ = false;
  bool began_ = false, lost_ = false, closed_ = false;
  std::optional<std::uint64_t> rss_at_end_;
  End end_ = End::kGoesOn;
  std::optional<Owner> inherits_;
  SteadyTime next_audit_{};
  WindowGrowth growth_;
  std::int64_t unattributed_bytes_ = 0;
  AwaitedFaults awaited_;  // counted, and not among the samples yet
};

}  // namespace memspy::sampler
