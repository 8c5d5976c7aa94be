// What `top` knows of a running session: the profile so far, what grew in the last seconds, the
// course of RSS. A sink; whoever shares it between threads holds a mutex (see LockedSink).
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "recording/profile.h"

namespace memspy::cli {

enum class TopSort { kNow, kOwn, kCumulative, kSamples, kFunction, kFile };
inline constexpr int kTopSortCount = 6;

struct TopQuery {
  TopSort sort = TopSort::kNow;
  bool by_line = true;                // else by function
  std::optional<ThreadIndex> thread;  // only this one
  std::string filter;                 // part of "function (file:line)"; "" for all
};

struct TopRow {
  std::string function, file;
  int line = 0;                       // 0 by function
  double now_bytes_per_second = 0;    // own, over the last seconds
  std::int64_t own_bytes = 0;         // net growth charged to this very line
  std::int64_t cumulative_bytes = 0;  // and to what it called
  double percent = 0;                 // own, of all growth
  std::uint64_t samples = 0;
};

// One process of several.
struct WorkerRow {
  Pid pid;
  std::string name;  // comm
  double rss_bytes = 0;
  std::optional<double> growth_per_minute;  // of RSS; known from its second point on
  std::optional<TopRow> top;  // its line that grows most now, else has grown most; own figures only
};

class TopModel final : public SampleSink {
 public:
  TopModel() { profile_.keep_points = false; }
  Result<Unit> on_header(const RunHeader&) override;
  Result<Unit> on_process(const ProcessRecord&) override;
  Result<Unit> on_thread(const ThreadRecord&) override;
  Result<Unit> on_frame(FrameId, const Frame&) override;
  Result<Unit> on_stack(StackId, const StackTable::Node&) override;
  Result<Unit> on_point(const SeriesPoint&) override;
  Result<Unit> on_growth(const GrowthRecord&) override;
  Result<Unit> on_unattributed(const UnattributedRecord&) override;
  Result<Unit> on_gap(const Gap&) override;
  Result<Unit> on_tick_end(std::chrono::nanoseconds) override;
  Result<Unit> finish(const RunSummary&) override;

  // From now on growth counts from here: the leak-hunter's key.
  void reset_baseline();

  std::vector<TopRow> rows(const TopQuery& query) const;
  // Those that run, who grows fastest first.
  std::vector<WorkerRow> workers(bool by_line) const;
  // Whether a run is about several processes.
  bool with_children() const { return profile_.header.subprocesses; }
  // The stack that grows most now (else: has grown most), innermost frame first.
  std::vector<Frame> hottest_stack(const TopQuery& query) const;
  // Bytes per minute of RSS over the last minute; nullopt with less than two points.
  std::optional<double> growth_per_minute() const;
  // When RSS meets the cgroup's limit at this rate; nullopt when it does not grow or has no limit.
  std::optional<std::chrono::seconds> time_to_limit() const;
  std::vector<double> rss_history() const;  // oldest first, at most kHistory points
  std::int64_t unattributed_bytes() const;
  // As last measured: memory of all processes that run, the rest of the first one.
  std::optional<double> figure(SeriesColumn column) const;
  std::size_t process_count() const { return last_.size(); }

  const recording::Profile& profile() const { return profile_; }
  std::chrono::nanoseconds now() const { return now_; }

  static constexpr std::size_t kHistory = 600;

 private:
  using Key = recording::ProfileKey;
  struct Recent {
    std::chrono::nanoseconds time;
    Key key;
    std::int64_t bytes;
  };
  struct Grown {
    std::int64_t bytes = 0;
    std::uint64_t samples = 0;
  };
  using RowKey = std::pair<std::string, int>;  // "function\0file", line
  using Rows = std::map<RowKey, TopRow>;
  using Course = std::deque<std::pair<std::chrono::nanoseconds, double>>;  // of RSS
  static TopRow& row_of(const Frame& frame, bool by_line, Rows& table);
  static void note(Course& course, std::chrono::nanoseconds time, double bytes);
  static std::optional<double> per_minute(const Course& course);
  std::map<ProcessIndex, Rows> rows_by_process(bool by_line) const;
  Grown since_baseline(const Key& key, const recording::ProfileValue& value) const;
  void charge(StackId stack, const Grown& grown, double rate, bool by_line, Rows& table) const;
  void forget_ended(std::chrono::nanoseconds tick);
  void note_rss(std::chrono::nanoseconds time);
  bool stack_passes(StackId stack, const std::string& filter) const;
  bool matches(const Key& key, const TopQuery& query) const {
    return !query.thread || key.thread == *query.thread;
  }
  std::map<Key, double> now_rates() const;

  recording::Profile profile_;
  std::map<Key, recording::ProfileValue> baseline_;
  std::int64_t baseline_unattributed_ = 0;
  std::deque<Recent> recent_;                 // of the last seconds
  Course rss_;                                // of all of them
  std::map<ProcessIndex, Course> rss_of_;     // of those that run
  std::map<ProcessIndex, SeriesPoint> last_;  // of those that run
  double peak_rss_ = 0;                       // of their sum
  std::chrono::nanoseconds now_{}, baseline_time_{};
};

}  // namespace memspy::cli
