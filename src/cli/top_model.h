// What `top` knows of a running session: the profile so far, what grew in the last seconds (in mode
// alloc: who spent time allocating), the course of RSS. A sink; whoever shares it between threads
// holds a mutex (see LockedSink).
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
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
  bool past_native = false;           // own goes to the line that called native code
};

// Amounts are net growth in bytes, or time spent allocating in microseconds: TopModel::measure().
struct TopRow {
  std::string function, file;
  std::string module;           // of native code
  int line = 0;                 // 0 by function
  double now_per_second = 0;    // own, over the last seconds
  std::int64_t own = 0;         // charged to this very line
  std::int64_t cumulative = 0;  // and to what it called
  double percent = 0;           // own, of all
  std::uint64_t samples = 0;
};
// What so many microseconds in a second are of one CPU; of several threads it may be more than 1.
inline double cpu_share(double microseconds_per_second) { return microseconds_per_second / 1e6; }

// CPU time in user mode, and what of it went into allocating.
struct CpuTime {
  std::chrono::microseconds user{}, allocating{};
};

// One process of several.
struct WorkerRow {
  Pid pid;
  std::string name;  // comm
  double rss_bytes = 0;
  std::optional<double> growth_per_minute;  // of RSS; known from its second point on
  double now_per_second = 0;                // of its rows together
  std::optional<TopRow> top;  // its line with most now, else with most in all; own figures only
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
  Result<Unit> on_live(const LiveRecord& live) override { return profile_.on_live(live); }
  Result<Unit> on_allocation(const AllocationRecord&) override;
  Result<Unit> on_gap(const Gap&) override;
  Result<Unit> on_tick_end(std::chrono::nanoseconds) override;
  Result<Unit> finish(const RunSummary&) override;

  // From now on amounts count from here: the leak-hunter's key.
  void reset_baseline();

  // Of rows and of what they are charged with.
  recording::Measure measure() const { return profile_.measure(); }
  bool tells_time() const { return measure() == recording::Measure::kMicroseconds; }
  std::vector<TopRow> rows(const TopQuery& query) const;
  // Those that run: who grows fastest first, in mode alloc who allocates most now. Each with a line
  // of Python where it has one.
  std::vector<WorkerRow> workers(bool by_line) const;
  // Whether a run is about several processes.
  bool with_children() const { return profile_.header.subprocesses; }
  // The native function that the stacks of a row past native code end in, with most in all: by
  // function, own and samples only. nullopt where they end in Python.
  std::optional<TopRow> ends_in(const TopRow& row, bool by_line) const;
  // The stack with most now (else: with most in all), innermost frame first.
  std::vector<Frame> hottest_stack(const TopQuery& query) const;
  // Bytes per minute of RSS over the last minute; nullopt with less than two points.
  std::optional<double> growth_per_minute() const;
  // When RSS meets the cgroup's limit at this rate; nullopt when it does not grow or has no limit.
  std::optional<std::chrono::seconds> time_to_limit() const;
  std::vector<double> rss_history() const;  // oldest first, at most kHistory points
  std::int64_t unattributed_bytes() const;  // 0 in mode alloc
  CpuTime cpu_time() const;                 // mode alloc, since the baseline
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
    double amount;
  };
  struct Charge {
    std::int64_t amount = 0;
    std::uint64_t samples = 0;
  };
  using VisitCharge = std::function<void(const Key&, const Charge&)>;
  using RowKey = std::pair<std::string, int>;  // "function\0file", line
  using Rows = std::map<RowKey, TopRow>;
  using Course = std::deque<std::pair<std::chrono::nanoseconds, double>>;  // of RSS
  static TopRow& row_of(const Frame& frame, bool by_line, Rows& table);
  static void note(Course& course, std::chrono::nanoseconds time, double bytes);
  static std::optional<double> per_minute(const Course& course);
  std::map<ProcessIndex, Rows> rows_by_process(bool by_line) const;
  // By what was measured; kNoStack: what no stack explains, or time in which none allocated.
  void each_run_charge(const VisitCharge& visit) const;  // since the start of the run
  void each_charge(const VisitCharge& visit) const;      // since the baseline
  const Frame& owner_of(StackId stack, bool past_native) const;
  void charge(StackId stack, const Charge& charge, double rate, const TopQuery& query,
              Rows& table) const;
  void forget_ended(std::chrono::nanoseconds tick);
  void note_rss(std::chrono::nanoseconds time);
  bool stack_passes(StackId stack, const std::string& filter) const;
  bool matches(const Key& key, const TopQuery& query) const {
    return !query.thread || key.thread == *query.thread;
  }
  std::map<Key, double> now_rates() const;

  recording::Profile profile_;
  std::map<Key, Charge> baseline_;
  std::int64_t baseline_unattributed_ = 0;
  std::deque<Recent> recent_;                 // of the last seconds
  Course rss_;                                // of all of them
  std::map<ProcessIndex, Course> rss_of_;     // of those that run
  std::map<ProcessIndex, SeriesPoint> last_;  // of those that run
  double peak_rss_ = 0;                       // of their sum
  std::chrono::nanoseconds now_{}, baseline_time_{};
};

}  // namespace memspy::cli
