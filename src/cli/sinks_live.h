// Sinks of a live run: one for a mutex around another, one that watches what the command line asked
// about.
#pragma once

#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "cli/condition.h"
#include "memspy/sample_sink.h"

namespace memspy::cli {

// Another sink behind a mutex: the session's thread writes, a screen reads under the same mutex.
class LockedSink final : public SampleSink {
 public:
  LockedSink(SampleSink& sink, std::mutex& mutex) : sink_(&sink), mutex_(&mutex) {}
  Result<Unit> on_header(const RunHeader&) override;
  Result<Unit> on_process(const ProcessRecord&) override;
  Result<Unit> on_thread(const ThreadRecord&) override;
  Result<Unit> on_frame(FrameId, const Frame&) override;
  Result<Unit> on_stack(StackId, const StackTable::Node&) override;
  Result<Unit> on_point(const SeriesPoint&) override;
  Result<Unit> on_growth(const GrowthRecord&) override;
  Result<Unit> on_unattributed(const UnattributedRecord&) override;
  Result<Unit> on_live(const LiveRecord&) override;
  Result<Unit> on_allocation(const AllocationRecord&) override;
  Result<Unit> on_gap(const Gap&) override;
  Result<Unit> on_tick_end(std::chrono::nanoseconds) override;
  Result<Unit> finish(const RunSummary&) override;

 private:
  SampleSink* sink_;
  std::mutex* mutex_;
};

// Watches a run: has anything been measured, was any of it Python, has a --fail-on condition been
// met by all its processes together; calls back at the end of each tick.
class WatchSink final : public SampleSink {
 public:
  using TickCall = std::function<Result<Unit>(std::chrono::nanoseconds)>;
  explicit WatchSink(const std::optional<Condition>& fail_on, TickCall on_tick = {});
  Result<Unit> on_header(const RunHeader&) override { return Unit{}; }
  Result<Unit> on_process(const ProcessRecord&) override;
  Result<Unit> on_thread(const ThreadRecord&) override { return Unit{}; }
  Result<Unit> on_frame(FrameId, const Frame&) override { return Unit{}; }
  Result<Unit> on_stack(StackId, const StackTable::Node&) override { return Unit{}; }
  Result<Unit> on_point(const SeriesPoint&) override;
  Result<Unit> on_growth(const GrowthRecord&) override;
  Result<Unit> on_unattributed(const UnattributedRecord&) override { return Unit{}; }
  Result<Unit> on_allocation(const AllocationRecord&) override;
  Result<Unit> on_gap(const Gap&) override;
  Result<Unit> on_tick_end(std::chrono::nanoseconds) override;
  // The last look at a process comes without a point.
  Result<Unit> finish(const RunSummary&) override;

  // Of all processes of the run.
  const std::optional<double>& rss_bytes() const { return rss_; }
  const std::optional<double>& first_rss_bytes() const { return first_rss_; }
  // What went less well than planned, by the first words of its reason.
  struct Gaps {
    std::string last;  // the reason, whole
    std::uint64_t count = 0;
  };
  const std::map<std::string, Gaps>& gaps() const { return gaps_; }
  bool measured() const { return points_ > 0 || growth_; }
  // What is known of all processes so far; kNamed: a program of that name, no interpreter yet.
  enum class Python { kNone, kNamed, kFound };
  Python python() const { return python_; }
  // What the process that was asked for is by now: it may have executed another program.
  const std::optional<ProcessRecord>& target() const { return target_; }
  // When the condition first held.
  const std::optional<std::chrono::nanoseconds>& failed_at() const { return failed_at_; }

 private:
  std::optional<ConditionWatch> fail_on_;
  std::optional<std::chrono::nanoseconds> failed_at_;
  TickCall on_tick_;
  std::optional<double> tick_rss_;  // of the tick that is not over yet
  std::optional<double> rss_, first_rss_;
  std::map<std::string, Gaps> gaps_;
  std::optional<ProcessRecord> target_;
  Python python_ = Python::kNone;
  std::uint64_t points_ = 0;
  bool growth_ = false;
};

}  // namespace memspy::cli
