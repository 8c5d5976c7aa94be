// A run written as segments: recordings of some minutes, each whole by itself, so that the oldest
// can go. A disk that fills costs what comes until there is room again, which the next segment says
// as a gap; the run goes on.
//
// One thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "daemon/renumber.h"
#include "memspy/sample_sink.h"
#include "recording/profile.h"
#include "recording/recording.h"

namespace memspy::daemon {

struct SegmentOptions {
  std::string folder;                  // exists
  std::chrono::nanoseconds length{};   // of time
  std::uint64_t most_bytes = 8 << 20;  // a segment ends at this size too
};

class SegmentSink final : public SampleSink {
 public:
  explicit SegmentSink(SegmentOptions options);
  ~SegmentSink() override;

  // Never an error of the disk: see trouble().
  Result<Unit> on_header(const RunHeader&) override;
  Result<Unit> on_process(const ProcessRecord& r) override { return pass(records_.on_process(r)); }
  Result<Unit> on_thread(const ThreadRecord& r) override { return pass(records_.on_thread(r)); }
  Result<Unit> on_frame(FrameId id, const Frame& f) override {
    return pass(records_.on_frame(id, f));
  }
  Result<Unit> on_stack(StackId id, const StackTable::Node& n) override {
    return pass(records_.on_stack(id, n));
  }
  Result<Unit> on_point(const SeriesPoint& r) override { return pass(records_.on_point(r)); }
  Result<Unit> on_growth(const GrowthRecord& r) override { return pass(records_.on_growth(r)); }
  Result<Unit> on_unattributed(const UnattributedRecord& r) override {
    return pass(records_.on_unattributed(r));
  }
  Result<Unit> on_live(const LiveRecord& r) override { return pass(records_.on_live(r)); }
  Result<Unit> on_gap(const Gap& r) override { return pass(records_.on_gap(r)); }
  Result<Unit> on_tick_end(std::chrono::nanoseconds time) override;
  Result<Unit> finish(const RunSummary&) override;

  // Ends the segment under way, so that its file is whole; the next record begins another.
  void close_segment(const std::string& why);
  void forget(ProcessIndex index) { records_.forget(index); }
  // Why nothing is written at the moment; "" when it is.
  const std::string& trouble() const { return trouble_; }
  const std::string& path() const { return path_; }  // of the segment under way; "" when none is

 private:
  struct Segment;
  Result<Unit> pass(Result<Unit> result);
  void open_segment(std::chrono::nanoseconds time);
  std::uint64_t written_bytes() const;

  SegmentOptions options_;
  RunHeader header_;
  Renumber records_;
  std::unique_ptr<Segment> segment_;
  std::string path_, trouble_;
  std::chrono::nanoseconds begin_{}, last_{};  // of the segment, in the run's time
  std::optional<std::chrono::nanoseconds> lost_since_;
};

}  // namespace memspy::daemon
