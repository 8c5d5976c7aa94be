// One stream of records for several sinks. As the threads of those.
#pragma once

#include <utility>
#include <vector>

#include "memspy/sample_sink.h"

namespace memspy::recording {

// Hands each record to all of them; the first that fails ends the run (finish reaches all).
class TeeSink : public SampleSink {
 public:
  explicit TeeSink(std::vector<SampleSink*> sinks) : sinks_(std::move(sinks)) {}
  Result<Unit> on_header(const RunHeader&) override;
  Result<Unit> on_process(const ProcessRecord&) override;
  Result<Unit> on_thread(const ThreadRecord&) override;
  Result<Unit> on_frame(FrameId, const Frame&) override;
  Result<Unit> on_stack(StackId, const StackTable::Node&) override;
  Result<Unit> on_point(const SeriesPoint&) override;
  Result<Unit> on_growth(const GrowthRecord&) override;
  Result<Unit> on_unattributed(const UnattributedRecord&) override;
  Result<Unit> on_live(const LiveRecord&) override;
  Result<Unit> on_temporary(const TemporaryRecord&) override;
  Result<Unit> on_allocation(const AllocationRecord&) override;
  Result<Unit> on_gap(const Gap&) override;
  Result<Unit> on_tick_end(std::chrono::nanoseconds) override;
  Result<Unit> finish(const RunSummary&) override;

 private:
  std::vector<SampleSink*> sinks_;
};

}  // namespace memspy::recording
