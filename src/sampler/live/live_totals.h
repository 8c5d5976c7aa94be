// What the collector knows of one process' heap in mode live: the profile of blocks as it was told
// last, and which pages are its arenas'. Growth of RSS within these is told by blocks, and not
// again by pages. Collector thread.
#pragma once

#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "memspy/sample_sink.h"
#include "sampler/event_queue.h"
#include "sampler/page_ledger.h"

namespace memspy::sampler {

class LiveTotals {
 public:
  // What was touched in arenas that are new is charged to no stack of its own any more: it was told
  // as pages, and is told as blocks now.
  void take(const LiveProfiled& event, PageLedger& ledger);
  // A fault in an arena is charged to no stack of its own.
  FaultSample placed(FaultSample sample) const;
  // Is this growth of the arenas' pages? Then it is kept out of the records.
  bool skips(const LedgerDelta& delta);
  // What has changed since the last call; `last`: and how sure it is.
  Result<Unit> tell(std::chrono::nanoseconds time, ProcessIndex process, bool last,
                    SampleSink& sink);
  // The figures of the window are of RSS: less the arenas' pages, and the blocks instead.
  void correct(RunSummary& summary) const;
  void count(RunSummary& summary) const;

 private:
  struct Told {
    std::uint64_t bytes = 0;
    std::uint32_t blocks = 0;
  };
  std::shared_ptr<const LiveProfile> profile_;
  std::vector<std::pair<RemoteAddr, std::uint64_t>> arenas_;
  StackId pages_;
  std::map<LiveOwner, Told> told_;
  std::int64_t told_rest_ = 0;
  std::int64_t arena_bytes_ = 0;  // of RSS, charged to pages_
};

}  // namespace memspy::sampler
