#include "recording/peak.h"

#include <map>
#include <optional>

#include "recording/recording.h"

namespace memspy::recording {
namespace {

class PeakSink final : public SampleSink {
 public:
  Result<Unit> on_header(const RunHeader& header) override {
    live_ = header.mode == "live";
    return Unit{};
  }
  Result<Unit> on_process(const ProcessRecord&) override { return Unit{}; }
  Result<Unit> on_thread(const ThreadRecord&) override { return Unit{}; }
  Result<Unit> on_frame(FrameId, const Frame&) override { return Unit{}; }
  Result<Unit> on_stack(StackId, const StackTable::Node&) override { return Unit{}; }
  Result<Unit> on_point(const SeriesPoint& point) override {
    const double rss = point[SeriesColumn::kRssBytes].value_or(0);
    rss_[point.process] = rss > 0 && rss < 1e18 ? static_cast<std::uint64_t>(rss) : 0;
    return Unit{};
  }
  Result<Unit> on_growth(const GrowthRecord& growth) override {
    grown_[growth.process] += growth.touched_bytes - growth.returned_bytes;
    return Unit{};
  }
  Result<Unit> on_unattributed(const UnattributedRecord& rest) override {
    grown_[rest.process] += static_cast<std::uint64_t>(rest.bytes);
    return Unit{};
  }
  Result<Unit> on_gap(const Gap&) override { return Unit{}; }
  Result<Unit> on_tick_end(std::chrono::nanoseconds time) override {
    if (!rss_.empty()) {
      // Who has no point any more has ended, and holds nothing.
      std::erase_if(grown_, [&](const auto& entry) { return !rss_.contains(entry.first); });
      if (!live_) offer(of_rss_, {time, sum(rss_), true});
      rss_.clear();
    }
    // What has shrunk more than it has grown is no peak: such sums have wrapped.
    const std::uint64_t grown = sum(grown_);
    offer(of_growth_, {time, static_cast<std::int64_t>(grown) < 0 ? 0 : grown, false});
    return Unit{};
  }
  Result<Unit> finish(const RunSummary&) override { return Unit{}; }

  Peak peak() const { return of_rss_.value_or(of_growth_.value_or(Peak{})); }

 private:
  using Bytes = std::map<ProcessIndex, std::uint64_t>;  // a hostile file's sums wrap
  static std::uint64_t sum(const Bytes& all) {
    std::uint64_t sum = 0;
    for (const auto& [process, bytes] : all) sum += bytes;
    return sum;
  }
  static void offer(std::optional<Peak>& best, const Peak& peak) {
    if (!best || peak.bytes > best->bytes) best = peak;
  }

  bool live_ = false;
  Bytes rss_, grown_;  // of this tick; since the start
  std::optional<Peak> of_rss_, of_growth_;
};

}  // namespace

Result<Peak> find_peak(const Reader& reader) {
  PeakSink sink;
  MEMSPY_CHECK(reader.replay(sink));
  return sink.peak();
}

}  // namespace memspy::recording
