#include "recording/peak.h"

#include <optional>

#include "recording/recording.h"

namespace memspy::recording {
namespace {

class PeakSink final : public SampleSink {
 public:
  Result<Unit> on_header(const RunHeader&) override { return Unit{}; }
  Result<Unit> on_process(const ProcessRecord&) override { return Unit{}; }
  Result<Unit> on_thread(const ThreadRecord&) override { return Unit{}; }
  Result<Unit> on_frame(FrameId, const Frame&) override { return Unit{}; }
  Result<Unit> on_stack(StackId, const StackTable::Node&) override { return Unit{}; }
  Result<Unit> on_point(const SeriesPoint&) override { return Unit{}; }
  Result<Unit> on_growth(const GrowthRecord& growth) override {
    add(growth.touched_bytes - growth.returned_bytes);
    return Unit{};
  }
  Result<Unit> on_unattributed(const UnattributedRecord& rest) override {
    add(static_cast<std::uint64_t>(rest.bytes));
    return Unit{};
  }
  Result<Unit> on_gap(const Gap&) override { return Unit{}; }
  Result<Unit> on_tick_end(std::chrono::nanoseconds time) override {
    const auto bytes = static_cast<std::int64_t>(sum_);
    if (!peak_ || bytes > peak_->bytes) peak_ = Peak{time, bytes};
    return Unit{};
  }
  Result<Unit> finish(const RunSummary&) override { return Unit{}; }

  Peak peak() const { return peak_.value_or(Peak{}); }

 private:
  void add(std::uint64_t bytes) { sum_ += bytes; }  // a hostile file's sums wrap

  std::uint64_t sum_ = 0;
  std::optional<Peak> peak_;
};

}  // namespace

Result<Peak> find_peak(const Reader& reader) {
  PeakSink sink;
  MEMSPY_CHECK(reader.replay(sink));
  return sink.peak();
}

}  // namespace memspy::recording
