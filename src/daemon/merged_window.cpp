#include "daemon/merged_window.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <vector>

#include "base/byte_units.h"
#include "daemon/shelf.h"
#include "daemon/target_figures.h"

namespace memspy::daemon {
namespace {

using recording::Profile;
using std::chrono::nanoseconds;
using C = SeriesColumn;

// Points of a tracer's that are further apart than this are of two runs.
constexpr auto kStretchPause = std::chrono::seconds(20);
// Of a first point, which says what was there before it.
constexpr auto kInterval = std::chrono::seconds(1);
constexpr auto kHistoryPause = std::chrono::minutes(1);  // as it is configured mostly
constexpr double kWorthSaying = 1 << 20;                 // bytes

// What the points of a window say of the tracers that were at work in it, one after the other: how
// often and for how long they disturbed, and what RSS did while there was none.
class Stretches {
 public:
  // In their order; then finish().
  void add(const SeriesPoint& point) {
    const auto& rss = point[C::kRssBytes];
    if (rss && !end_bytes_) {
      end_bytes_ = rss;
      first_time_ = point.time;
    }
    if (point[C::kSamples]) add_traced(point);
    if (!rss) return;
    if (point.time <= nanoseconds(0) || !first_bytes_) first_bytes_ = peak_bytes_ = *rss;
    peak_bytes_ = std::max(peak_bytes_, *rss);
    last_bytes_ = rss;
    last_time_ = point.time;
  }
  void finish() {
    if (end_bytes_ && last_bytes_) note_untraced(*last_bytes_ - *end_bytes_, last_time_);
    close();
  }
  std::vector<Gap> untraced;
  void tell(RunSummary& summary) const {
    const auto whole = [](double value) {
      return static_cast<std::uint64_t>(std::max(value, 0.0));
    };
    summary.rejected = whole(rejected_);
    summary.stopped = nanoseconds(std::llround(std::max(stopped_seconds_, 0.0) * 1e9));
    summary.rss_start_bytes = whole(first_bytes_.value_or(0));
    summary.rss_end_bytes = whole(last_bytes_.value_or(0));
    summary.rss_peak_bytes = whole(peak_bytes_);
  }

 private:
  void add_traced(const SeriesPoint& point) {
    const bool fresh = !tracer_ || point.time - tracer_->time > kStretchPause ||
                       *point[C::kSamples] < (*tracer_)[C::kSamples].value_or(0);
    if (fresh) {
      close();
      // One that was at work before the window has counted before it.
      const bool before = point.time - first_time_ < std::chrono::milliseconds(1500);
      rejected_ -= before ? point[C::kRejected].value_or(0) : 0;
      stopped_seconds_ -= before ? point[C::kStoppedSeconds].value_or(0) : 0;
      const double explained =
          point[C::kAttributedBytes].value_or(0) + point[C::kUnattributedBytes].value_or(0);
      if (!before && end_bytes_ && point[C::kRssBytes])
        note_untraced(*point[C::kRssBytes] - explained - *end_bytes_, point.time);
    }
    tracer_ = point;
    if (point[C::kRssBytes]) end_bytes_ = point[C::kRssBytes];
  }
  void close() {
    if (!tracer_) return;
    rejected_ += (*tracer_)[C::kRejected].value_or(0);
    stopped_seconds_ += (*tracer_)[C::kStoppedSeconds].value_or(0);
  }
  void note_untraced(double bytes, nanoseconds time) {
    if (bytes < kWorthSaying) return;
    Gap gap;
    gap.time = time;
    gap.reason = "RSS grew by " + format_bytes(static_cast<std::uint64_t>(bytes)) +
                 " while no tracer was at work: no stack has it";
    untraced.push_back(gap);
  }
  double rejected_ = 0, stopped_seconds_ = 0, peak_bytes_ = 0;
  std::optional<SeriesPoint> tracer_;  // its last
  // RSS: at the end of a stretch; of the first and the last point.
  std::optional<double> end_bytes_, first_bytes_, last_bytes_;
  nanoseconds first_time_{}, last_time_{};
};

RunSummary summary_of(const Profile& profile, const Stretches& stretches, nanoseconds length) {
  RunSummary summary;
  summary.duration = length;
  summary.ended_by = "the end of what was asked for";
  const auto totals = profile.totals();
  summary.samples = totals.samples;
  summary.growth_bytes = totals.growth_bytes();
  summary.attributed_bytes = totals.attributed_bytes;
  summary.unattributed_bytes = totals.unattributed_bytes;
  summary.shrink_bytes = totals.shrink_bytes;
  stretches.tell(summary);
  return summary;
}

// The points of one process, without the room for all that was not measured: a day may be as much.
class PointStore final : public SampleSink {
 public:
  Result<Unit> on_point(const SeriesPoint& point) override {
    Stored stored{point.time, values_.size()};
    for (std::size_t i = 0; i < point.values.size(); ++i)
      if (point.values[i]) values_.emplace_back(static_cast<std::uint8_t>(i), *point.values[i]);
    points_.push_back(stored);
    return Unit{};
  }
  Result<Unit> on_header(const RunHeader&) override { return Unit{}; }
  Result<Unit> on_process(const ProcessRecord&) override { return Unit{}; }
  Result<Unit> on_thread(const ThreadRecord&) override { return Unit{}; }
  Result<Unit> on_frame(FrameId, const Frame&) override { return Unit{}; }
  Result<Unit> on_stack(StackId, const StackTable::Node&) override { return Unit{}; }
  Result<Unit> on_growth(const GrowthRecord&) override { return Unit{}; }
  Result<Unit> on_unattributed(const UnattributedRecord&) override { return Unit{}; }
  Result<Unit> on_gap(const Gap&) override { return Unit{}; }
  Result<Unit> on_tick_end(nanoseconds) override { return Unit{}; }
  Result<Unit> finish(const RunSummary&) override { return Unit{}; }

  // How much of the window was over when the first of them came; 0: there is one before it, or
  // none.
  nanoseconds silence() const {
    return points_.empty() ? nanoseconds(0)
                           : std::max(points_.front().time - kInterval, nanoseconds(0));
  }
  void shift(nanoseconds by) {
    for (Stored& point : points_) point.time += by;
  }
  // Before `time`, in the order in which they came, which is that of time.
  std::optional<SeriesPoint> take(nanoseconds time, ProcessIndex process) {
    if (next_ == points_.size() || points_[next_].time >= time) return std::nullopt;
    SeriesPoint point;
    point.process = process;
    point.time = points_[next_].time;
    const std::size_t end = ++next_ < points_.size() ? points_[next_].first : values_.size();
    for (std::size_t i = points_[next_ - 1].first; i < end; ++i)
      point.values[values_[i].first] = values_[i].second;
    return point;
  }

 private:
  struct Stored {
    nanoseconds time{};
    std::size_t first = 0;  // of its values
  };
  std::vector<Stored> points_;
  std::vector<std::pair<std::uint8_t, double>> values_;  // by column
  std::size_t next_ = 0;
};

// Passes a run on, and between its ticks the points of another series of the same process; sums it
// up, to end it.
class MergeSink final : public SampleSink {
 public:
  // `longest_pause`: between two points of which none was lost.
  MergeSink(SampleSink& out, WallWindow window, PointStore points, nanoseconds longest_pause)
      : out_(out),
        longest_pause_(longest_pause),
        window_(window),
        sums_(empty_profile(window)),
        points_(std::move(points)) {
    sums_.keep_points = false;
  }

  // Told with the first thing that there is to tell: segments may have nothing of the window.
  Result<Unit> on_header(const RunHeader& r) override {
    header_ = r;
    // Nothing is missing between two points of a calm time.
    header_.interval = std::max<nanoseconds>(header_.interval, longest_pause_);
    return Unit{};
  }
  Result<Unit> on_process(const ProcessRecord& r) override {
    if (!process_) MEMSPY_CHECK(out_.on_header(header_));
    process_ = r.index;  // there is but one
    return both(&Sink::on_process, r);
  }
  Result<Unit> on_thread(const ThreadRecord& r) override { return both(&Sink::on_thread, r); }
  Result<Unit> on_frame(FrameId i, const Frame& f) override { return both(&Sink::on_frame, i, f); }
  Result<Unit> on_stack(StackId i, const StackTable::Node& n) override {
    return both(&Sink::on_stack, i, n);
  }
  Result<Unit> on_point(const SeriesPoint& r) override {
    if (!process_) return Unit{};
    MEMSPY_CHECK(tell_points(r.time));
    stretches_.add(r);
    return out_.on_point(r);
  }
  Result<Unit> on_growth(const GrowthRecord& r) override { return in_turn(&Sink::on_growth, r); }
  Result<Unit> on_unattributed(const UnattributedRecord& r) override {
    return in_turn(&Sink::on_unattributed, r);
  }
  Result<Unit> on_gap(const Gap& r) override { return in_turn(&Sink::on_gap, r); }
  Result<Unit> on_tick_end(nanoseconds time) override {
    if (!process_) return Unit{};
    MEMSPY_CHECK(tell_points(time));
    return both(&Sink::on_tick_end, time);
  }
  // Of the segments; see end().
  Result<Unit> finish(const RunSummary&) override { return Unit{}; }

  bool any() const { return process_.has_value(); }
  Result<Unit> end() {
    if (!process_) return Unit{};
    MEMSPY_CHECK(tell_points(nanoseconds::max()));
    const nanoseconds length = window_.to - window_.from;
    stretches_.finish();
    for (const Gap& gap : stretches_.untraced) MEMSPY_CHECK(out_.on_gap(gap));
    MEMSPY_CHECK(out_.on_tick_end(length));
    return out_.finish(summary_of(sums_, stretches_, length));
  }

 private:
  using Sink = SampleSink;
  template <typename Pass, typename... Record>
  Result<Unit> both(Pass pass, const Record&... r) {
    MEMSPY_CHECK((static_cast<Sink&>(sums_).*pass)(r...));
    return (out_.*pass)(r...);
  }
  template <typename Pass, typename Record>
  Result<Unit> in_turn(Pass pass, const Record& r) {
    if (!process_) return Unit{};  // a gap of nobody's
    MEMSPY_CHECK(tell_points(r.time));
    return both(pass, r);
  }
  // Those before `time`, each time a tick of its own.
  Result<Unit> tell_points(nanoseconds time) {
    while (const auto point = points_.take(time, *process_)) {
      stretches_.add(*point);
      MEMSPY_CHECK(out_.on_point(*point));
      MEMSPY_CHECK(both(&Sink::on_tick_end, point->time));
    }
    return Unit{};
  }
  SampleSink& out_;
  nanoseconds longest_pause_;
  WallWindow window_;
  RunHeader header_;
  Profile sums_;
  Stretches stretches_;
  PointStore points_;
  std::optional<ProcessIndex> process_;
};

}  // namespace

Result<WallWindow> tell_window(const std::string& state_dir, const ProcessIdentity& target,
                               WallWindow window, Recorded what, SampleSink& sink) {
  const std::string series_folder =
      state_dir + (what == Recorded::kHistory ? "/history" : "/series");
  PointStore points;
  MEMSPY_CHECK(tell_recorded(series_folder, target, window, points));
  // Of a process that has begun within the window, the run is its life.
  const nanoseconds silence = points.silence();
  window.from += silence;
  points.shift(-silence);
  if (what == Recorded::kAll) {
    MergeSink merge(sink, window, std::move(points), kQuietPause);
    MEMSPY_CHECK(
        tell_recorded(state_dir + "/targets/" + owner_name(target), target, window, merge));
    if (merge.any()) {
      MEMSPY_CHECK(merge.end());
      return window;
    }
  }
  MergeSink merge(sink, window, {},
                  what == Recorded::kHistory ? nanoseconds(kHistoryPause) : kQuietPause);
  MEMSPY_CHECK(tell_recorded(series_folder, target, window, merge));
  MEMSPY_CHECK(merge.end());
  return window;
}

Result<Profile> load_window(const std::string& state_dir, const ProcessIdentity& target,
                            WallWindow window) {
  Profile profile = empty_profile(window);
  profile.keep_timeline = true;
  MEMSPY_TRY(told, tell_window(state_dir, target, window, Recorded::kAll, profile));
  profile.window = {};  // it is all of a run that was cut to it
  profile.last_time = told.to - told.from;
  return profile;
}

}  // namespace memspy::daemon
