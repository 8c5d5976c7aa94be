#include "cli/sinks_live.h"

#include <algorithm>
#include <utility>

#include "base/path.h"
#include "procfs/processes.h"

namespace memspy::cli {

Result<Unit> LockedSink::on_header(const RunHeader& record) {
  const std::lock_guard lock(*mutex_);
  return sink_->on_header(record);
}
Result<Unit> LockedSink::on_process(const ProcessRecord& record) {
  const std::lock_guard lock(*mutex_);
  return sink_->on_process(record);
}
Result<Unit> LockedSink::on_thread(const ThreadRecord& record) {
  const std::lock_guard lock(*mutex_);
  return sink_->on_thread(record);
}
Result<Unit> LockedSink::on_frame(FrameId id, const Frame& frame) {
  const std::lock_guard lock(*mutex_);
  return sink_->on_frame(id, frame);
}
Result<Unit> LockedSink::on_stack(StackId id, const StackTable::Node& node) {
  const std::lock_guard lock(*mutex_);
  return sink_->on_stack(id, node);
}
Result<Unit> LockedSink::on_point(const SeriesPoint& record) {
  const std::lock_guard lock(*mutex_);
  return sink_->on_point(record);
}
Result<Unit> LockedSink::on_growth(const GrowthRecord& record) {
  const std::lock_guard lock(*mutex_);
  return sink_->on_growth(record);
}
Result<Unit> LockedSink::on_unattributed(const UnattributedRecord& record) {
  const std::lock_guard lock(*mutex_);
  return sink_->on_unattributed(record);
}
Result<Unit> LockedSink::on_live(const LiveRecord& record) {
  const std::lock_guard lock(*mutex_);
  return sink_->on_live(record);
}
Result<Unit> LockedSink::on_allocation(const AllocationRecord& record) {
  const std::lock_guard lock(*mutex_);
  return sink_->on_allocation(record);
}
Result<Unit> LockedSink::on_gap(const Gap& record) {
  const std::lock_guard lock(*mutex_);
  return sink_->on_gap(record);
}
Result<Unit> LockedSink::on_tick_end(std::chrono::nanoseconds time) {
  const std::lock_guard lock(*mutex_);
  return sink_->on_tick_end(time);
}
Result<Unit> LockedSink::finish(const RunSummary& summary) {
  const std::lock_guard lock(*mutex_);
  return sink_->finish(summary);
}

WatchSink::WatchSink(const std::optional<Condition>& fail_on, TickCall on_tick)
    : on_tick_(std::move(on_tick)) {
  if (fail_on) fail_on_.emplace(*fail_on);
}

Result<Unit> WatchSink::on_process(const ProcessRecord& record) {
  if (!target_ || target_->identity.pid == record.identity.pid) target_ = record;
  const std::string& path = record.executable;
  if (!record.python_version.empty()) {
    python_ = Python::kFound;
  } else if (procfs::is_python_name(base_name(path))) {
    python_ = std::max(python_, Python::kNamed);
  }
  return Unit{};
}

Result<Unit> WatchSink::on_point(const SeriesPoint& point) {
  ++points_;
  if (const auto rss = point[SeriesColumn::kRssBytes]) tick_rss_ = tick_rss_.value_or(0) + *rss;
  return Unit{};
}

Result<Unit> WatchSink::on_growth(const GrowthRecord& growth) {
  growth_ = growth_ || growth.samples > 0;
  return Unit{};
}

Result<Unit> WatchSink::on_allocation(const AllocationRecord& record) {
  growth_ = growth_ || record.samples > 0;
  return Unit{};
}

Result<Unit> WatchSink::on_gap(const Gap& gap) {
  const std::size_t kind = gap.reason.find_first_of(" :");
  Gaps& gaps = gaps_[gap.reason.substr(0, kind)];
  gaps.last = gap.reason;
  ++gaps.count;
  return Unit{};
}

Result<Unit> WatchSink::on_tick_end(std::chrono::nanoseconds time) {
  if (tick_rss_) {
    rss_ = std::exchange(tick_rss_, std::nullopt);
    if (!first_rss_) first_rss_ = rss_;
    if (fail_on_ && !failed_at_ && fail_on_->update(time, *rss_)) failed_at_ = time;
  }
  return on_tick_ ? on_tick_(time) : Result<Unit>(Unit{});
}

Result<Unit> WatchSink::finish(const RunSummary& summary) {
  if (!fail_on_ || failed_at_) return Unit{};
  const Condition& condition = fail_on_->condition();
  const auto start = static_cast<double>(summary.rss_start_bytes);
  if (!first_rss_ && fail_on_->update({}, start)) {
    failed_at_ = std::chrono::nanoseconds(0);
    return Unit{};
  }
  // The highest in between says nothing of a rate at the end.
  const bool highest = condition.above && !condition.per_seconds;
  const std::uint64_t rss = highest ? summary.rss_peak_bytes : summary.rss_end_bytes;
  if (fail_on_->update(summary.duration, static_cast<double>(rss))) failed_at_ = summary.duration;
  return Unit{};
}

}  // namespace memspy::cli
