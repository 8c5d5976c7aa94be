#include "report/figures.h"

#include <algorithm>
#include <map>
#include <optional>

#include <spdlog/fmt/fmt.h>

#include "base/byte_units.h"
#include "base/duration.h"
#include "report/display.h"

namespace memspy::report {
namespace {

using recording::Profile;

constexpr double kLossLimit = 0.01;
// Of what RSS moved by: less lies between two looks.
constexpr std::int64_t kWorthSaying = 1 << 20;
constexpr std::int64_t kSmallPart = 20;  // a twentieth

struct RssRange {
  double start = 0, end = 0, peak = 0;
  std::chrono::nanoseconds last{};  // of its points
};

// Processes are added up. The peak is the sum of their peaks: an upper bound, exact for one
// process.
void add_rss_of_points(const Profile& profile, RunFigures& figures) {
  std::map<ProcessIndex, RssRange> ranges;
  bool reconciled = true;
  std::chrono::nanoseconds last{};
  for (const auto& point : profile.points) {
    const auto& rss = point[SeriesColumn::kRssBytes];
    if (!rss.has_value() || !(*rss >= 0) || *rss > 1e18) continue;
    const auto [it, fresh] =
        ranges.try_emplace(point.process, RssRange{*rss, *rss, *rss, point.time});
    if (fresh && (!profile.window.from.has_value() || point.time > *profile.window.from)) {
      // No point before this one: what grew until then is on it.
      it->second.start = std::max(0.0, *rss - point[SeriesColumn::kAttributedBytes].value_or(0) -
                                           point[SeriesColumn::kUnattributedBytes].value_or(0));
    }
    reconciled = reconciled && point[SeriesColumn::kAttributedBytes].has_value();
    it->second.end = *rss;
    it->second.last = point.time;
    last = std::max(last, point.time);
    it->second.peak = std::max(it->second.peak, *rss);
  }
  for (const auto& [process, range] : ranges) {
    figures.rss_start_bytes += static_cast<std::uint64_t>(range.start);
    // One without a point at the last tick had ended by then.
    if (range.last == last) figures.rss_end_bytes += static_cast<std::uint64_t>(range.end);
    figures.rss_peak_bytes += static_cast<std::uint64_t>(range.peak);
  }
  // What was given back of memory from before is in no record of its own, only in RSS.
  const std::uint64_t before = figures.rss_start_bytes + figures.growth_bytes;
  if (reconciled && !ranges.empty() && before > figures.rss_end_bytes) {
    figures.shrink_bytes = std::max(figures.shrink_bytes, before - figures.rss_end_bytes);
  }
}

// What is known of a process by its points.
struct Watched {
  double first = 0, last = 0;  // RSS
  bool untraced = false;       // one of them is no tracer's
};

std::map<ProcessIndex, Watched> watched_processes(const Profile& profile) {
  std::map<ProcessIndex, Watched> found;
  for (const auto& point : profile.points) {
    const auto& rss = point[SeriesColumn::kRssBytes];
    if (!rss || !(*rss >= 0) || *rss > 1e18) continue;
    Watched& one = found.try_emplace(point.process, Watched{*rss, *rss}).first->second;
    one.last = *rss;
    one.untraced = one.untraced || !point[SeriesColumn::kAttributedBytes];
  }
  return found;
}

// The daemon's tracers come once something grows, and never where too many do.
void add_untraced(const Profile& profile, RunFigures& figures) {
  std::map<ProcessIndex, std::int64_t> traced = profile.unattributed;
  for (const auto& [key, value] : profile.growth) traced[key.process] += value.net_bytes();
  for (const auto& [process, watched] : watched_processes(profile)) {
    if (!watched.untraced) continue;
    const auto moved = static_cast<std::int64_t>(watched.last - watched.first);
    const auto known = traced.find(process);
    // Of one that was traced the first point may have what its records tell again.
    const std::int64_t rest =
        known == traced.end() ? moved : std::max<std::int64_t>(moved - known->second, 0);
    if (std::abs(rest) < kWorthSaying || kSmallPart * std::abs(rest) < std::abs(moved)) continue;
    (rest > 0 ? figures.untraced_growth_bytes : figures.untraced_shrink_bytes) +=
        static_cast<std::uint64_t>(std::abs(rest));
  }
}

// By how much a count since the start of the run went up within the points; 0 if not measured.
double advance(const Profile& profile, SeriesColumn column) {
  std::optional<double> first;
  double last = 0;
  for (const auto& point : profile.points) {
    const double value = point[column].value_or(0);
    if (!(value >= 0) || value > 1e9) continue;
    if (!first.has_value()) first = value;
    last = std::max(last, value);
  }
  return std::max(0.0, last - first.value_or(0));
}

std::uint64_t offered(const RunFigures& figures) { return figures.samples + figures.lost_samples; }

}  // namespace

namespace {

// Mode alloc alone has these.
void add_clock(const RunSummary& summary, RunFigures& out) {
  for (const auto& [name, value] : summary.counters) {
    if (!(value >= 0) || value > 1e15) continue;
    const auto count = static_cast<std::uint64_t>(value);
    const std::chrono::microseconds time(static_cast<std::int64_t>(count));
    if (name == "user_cpu_microseconds") {
      out.measure = recording::Measure::kMicroseconds;
      out.user_cpu = time;
    }
    if (name == "allocating_microseconds") out.allocating = time;
    if (name == "cpu_microseconds") out.cpu = time;
    if (name == "clock_ticks") out.ticks = count;
    if (name == "unclassified_ticks") out.unclassified = count;
  }
}

// What the records of the window add up to.
void add_clock(const Profile& profile, RunFigures& out) {
  const auto in = profile.allocating(), elsewhere = profile.not_allocating();
  out.measure = profile.measure();
  out.allocating = in.time;
  out.user_cpu = in.time + elsewhere.time;
  out.cpu = {};
  out.unclassified.reset();
  out.samples = in.samples;
  out.ticks = in.samples + elsewhere.samples;
}

// "614 samples in 8112 clock ticks, 3 rejected (0.5 %), 12 unclassified (0.1 %)"
std::string clock_evidence(const RunFigures& f) {
  const auto share = [](std::uint64_t part, std::uint64_t whole) {
    return percent(static_cast<double>(part), static_cast<double>(whole));
  };
  std::string text = fmt::format("{} samples in {} clock ticks, {} rejected ({})", f.samples,
                                 f.ticks, f.rejected, share(f.rejected, f.samples + f.rejected));
  if (f.unclassified)
    text += fmt::format(", {} unclassified ({})", *f.unclassified, share(*f.unclassified, f.ticks));
  return text;
}

}  // namespace

RunFigures run_figures(const RunSummary& s) {
  RunFigures out;
  out.duration = s.duration;
  out.growth_bytes = s.growth_bytes;
  out.attributed_bytes = s.attributed_bytes;
  out.unattributed_bytes = s.unattributed_bytes;
  out.shrink_bytes = s.shrink_bytes;
  out.rss_start_bytes = s.rss_start_bytes;
  out.rss_end_bytes = s.rss_end_bytes;
  out.rss_peak_bytes = s.rss_peak_bytes;
  out.samples = s.samples;
  out.rejected = out.lost_samples = s.rejected;
  out.stopped = s.stopped;
  out.pause_p99 = s.pause_p99;
  out.pause_max = s.pause_max;
  add_clock(s, out);
  return out;
}

RunFigures run_figures(const Profile& profile) {
  RunFigures out;
  if (profile.summary.has_value()) out = run_figures(*profile.summary);
  if (!profile.summary.has_value() || !profile.window.whole()) {
    const auto totals = profile.totals();
    out.growth_bytes = totals.growth_bytes();
    out.attributed_bytes = totals.attributed_bytes;
    out.unattributed_bytes = totals.unattributed_bytes;
    out.shrink_bytes = totals.shrink_bytes;
    out.samples = totals.samples;
    if (profile.measure() == recording::Measure::kMicroseconds) add_clock(profile, out);
    // A tick's records are of the time since the tick before it.
    out.duration = std::max(profile.last_time - profile.begin_time, std::chrono::nanoseconds(0));
    out.rss_start_bytes = out.rss_end_bytes = out.rss_peak_bytes = 0;
    add_rss_of_points(profile, out);
    if (profile.summary.has_value()) {
      const double rejected = advance(profile, SeriesColumn::kRejected);
      out.rejected = out.lost_samples = static_cast<std::uint64_t>(rejected);
      const double stopped = advance(profile, SeriesColumn::kStoppedSeconds);
      out.stopped = std::chrono::nanoseconds(static_cast<std::int64_t>(stopped * 1e9));
    }
  }
  // A segment's summary has no RSS. Of several processes one without a point at the end may be
  // calm.
  if (out.rss_peak_bytes == 0 && profile.processes.size() == 1) {
    RunFigures rss;
    add_rss_of_points(profile, rss);
    out.rss_start_bytes = rss.rss_start_bytes;
    out.rss_end_bytes = rss.rss_end_bytes;
    out.rss_peak_bytes = rss.rss_peak_bytes;
  }
  if (out.measure == recording::Measure::kBytes && profile.header.mode != "live")
    add_untraced(profile, out);
  // A run without an end has records, and no counters.
  if (profile.measure() == recording::Measure::kMicroseconds && out.ticks == 0)
    add_clock(profile, out);
  for (const auto& gap : profile.gaps) {
    out.lost_samples += gap.samples;
    out.gap_time += gap.duration;
  }
  return out;
}

std::string evidence_line(const RunFigures& f) {
  const bool clock = f.measure == recording::Measure::kMicroseconds;
  const auto all = static_cast<double>(f.samples + f.rejected);
  std::string text = clock ? clock_evidence(f)
                           : fmt::format("{} samples, {} rejected ({})", f.samples, f.rejected,
                                         percent(static_cast<double>(f.rejected), all));
  text += fmt::format(", stopped {} of the time",
                      percent(to_seconds(f.stopped), to_seconds(f.duration)));
  // A run that was killed has told its stops, but not how they spread.
  if (f.pause_max.count() > 0 || f.stopped.count() == 0)
    text += fmt::format(" (p99 {}, max {})", format_duration(f.pause_p99),
                        format_duration(f.pause_max));
  if (clock)
    return text + fmt::format(", {} of {} of CPU time in user mode spent allocating",
                              percent(to_seconds(f.allocating), to_seconds(f.user_cpu)),
                              format_duration(f.user_cpu));
  if (f.untraced_growth_bytes > 0)
    text += fmt::format(", {} grew untraced", format_bytes(f.untraced_growth_bytes));
  if (f.growth_bytes == 0) return text + (f.untraced_growth_bytes > 0 ? "" : ", no growth");
  return text + fmt::format(", {} of {} growth attributed",
                            percent(static_cast<double>(f.attributed_bytes),
                                    static_cast<double>(f.growth_bytes)),
                            format_bytes(f.growth_bytes));
}

std::string loss_line(const Profile& profile) {
  const RunFigures f = run_figures(profile);
  std::string text;
  const auto add = [&](const std::string& part) {
    text.append(text.empty() ? "" : "; ").append(part);
  };
  const auto all = static_cast<double>(offered(f));
  if (static_cast<double>(f.lost_samples) > kLossLimit * all) {
    add(fmt::format("{} of the samples were lost ({} of {})",
                    percent(static_cast<double>(f.lost_samples), all), f.lost_samples, offered(f)));
  }
  if (to_seconds(f.gap_time) > kLossLimit * to_seconds(f.duration)) {
    add(fmt::format("no data for {} ({} of the time)", format_duration(f.gap_time),
                    percent(to_seconds(f.gap_time), to_seconds(f.duration))));
  }
  if (!profile.note.empty()) add(profile.note);
  return text.empty() ? text : "incomplete: " + text;
}

}  // namespace memspy::report
