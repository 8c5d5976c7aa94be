// Names of native frames while a run goes on: stands before a sink that shows frames. What a run
// tells are addresses; here each becomes the functions at it as soon as it is defined, outermost
// first, and what has the same names becomes one stack. recording::expand_names does the same to a
// finished profile.
//
// Naming takes milliseconds, so this belongs outside of any mutex that a screen waits for.
#pragma once

#include <vector>

#include "memspy/sample_sink.h"
#include "recording/frame_names.h"

namespace memspy::cli {

class NamingSink final : public SampleSink {
 public:
  // `name`: asked once for each native frame, by the session's thread.
  NamingSink(SampleSink& sink, recording::NameFrame name) : sink_(&sink), name_(std::move(name)) {}
  Result<Unit> on_header(const RunHeader& header) override { return sink_->on_header(header); }
  Result<Unit> on_process(const ProcessRecord& record) override {
    return sink_->on_process(record);
  }
  Result<Unit> on_thread(const ThreadRecord& record) override { return sink_->on_thread(record); }
  Result<Unit> on_frame(FrameId id, const Frame& frame) override;
  Result<Unit> on_stack(StackId id, const StackTable::Node& node) override;
  Result<Unit> on_point(const SeriesPoint& point) override { return sink_->on_point(point); }
  Result<Unit> on_growth(const GrowthRecord& growth) override;
  Result<Unit> on_unattributed(const UnattributedRecord& rest) override {
    return sink_->on_unattributed(rest);
  }
  Result<Unit> on_live(const LiveRecord& record) override;
  Result<Unit> on_allocation(const AllocationRecord& record) override;
  Result<Unit> on_gap(const Gap& gap) override { return sink_->on_gap(gap); }
  Result<Unit> on_tick_end(std::chrono::nanoseconds time) override {
    return sink_->on_tick_end(time);
  }
  Result<Unit> finish(const RunSummary& summary) override { return sink_->finish(summary); }

 private:
  std::vector<Frame> names_of(const Frame& frame) const;
  Result<FrameId> define(const Frame& frame);
  Result<StackId> define(StackId parent, FrameId frame);
  template <typename Record>
  Result<Record> renamed(Record record) const;

  SampleSink* sink_;
  recording::NameFrame name_;
  StackTable stacks_;                         // as the sink knows them
  std::vector<std::vector<FrameId>> frames_;  // by the run's id - 1, outermost first
  std::vector<StackId> stack_of_;             // by the run's id - 1
};

}  // namespace memspy::cli
