// Keeps every record as one line of text, in the order of the calls.
#pragma once

#include <string>
#include <vector>

#include "memspy/sample_sink.h"

namespace memspy::testing {

class CollectingSink final : public SampleSink {
 public:
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

  std::vector<std::string> lines;
  // How many lines begin with `word`: "growth", "point", "tick"…
  std::size_t count(const std::string& word) const;
  // The lines without definitions of frames and stacks, which a replay gives first.
  std::vector<std::string> data() const;
};

}  // namespace memspy::testing
