// Where the records of a run go. Calls come from one thread, in this order: on_header once; then
// definitions (process, thread, frame, stack) each before its first use, and data; finish once,
// also after a target's exit. A sink that fails says why; the run goes on for the others.
#pragma once

#include "memspy/result.h"
#include "memspy/sample.h"

namespace memspy {

class SampleSink {
 public:
  virtual ~SampleSink() = default;
  virtual Result<Unit> on_header(const RunHeader& header) = 0;
  virtual Result<Unit> on_process(const ProcessRecord& process) = 0;  // again when its facts change
  virtual Result<Unit> on_thread(const ThreadRecord& thread) = 0;     // again when its name changes
  virtual Result<Unit> on_frame(FrameId id, const Frame& frame) = 0;
  virtual Result<Unit> on_stack(StackId id, const StackTable::Node& node) = 0;
  virtual Result<Unit> on_point(const SeriesPoint& point) = 0;
  virtual Result<Unit> on_growth(const GrowthRecord& growth) = 0;
  virtual Result<Unit> on_unattributed(const UnattributedRecord& rest) = 0;
  virtual Result<Unit> on_live(const LiveRecord&) { return Unit{}; }
  virtual Result<Unit> on_temporary(const TemporaryRecord&) { return Unit{}; }
  virtual Result<Unit> on_allocation(const AllocationRecord&) { return Unit{}; }
  virtual Result<Unit> on_gap(const Gap& gap) = 0;
  // The end of a tick: what came before it belongs together and may be committed.
  virtual Result<Unit> on_tick_end(std::chrono::nanoseconds time) = 0;
  virtual Result<Unit> finish(const RunSummary& summary) = 0;
};

}  // namespace memspy
