#include "daemon/metrics.h"

#include <algorithm>
#include <array>
#include <optional>
#include <string_view>

#include <spdlog/fmt/fmt.h>

#include "base/duration.h"
#include "recording/text.h"

namespace memspy::daemon {
namespace {

using C = SeriesColumn;

// A label's value: backslash, quote and line end are escaped; what is no UTF-8 or no text is shown.
std::string label_text(std::string_view text) {
  std::string out;
  for (const char c : recording::escape_text(text)) {
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  return out;
}

void head(std::string& out, std::string_view name, std::string_view type, std::string_view help) {
  out += fmt::format("# HELP {} {}\n# TYPE {} {}\n", name, help, name, type);
}

void one(std::string& out, std::string_view name, std::string_view type, std::string_view help,
         double value) {
  head(out, name, type, help);
  out += fmt::format("{} {}\n", name, value);
}

void two(std::string& out, std::string_view name, std::string_view type, std::string_view help,
         double daemon, double tracers) {
  head(out, name, type, help);
  out += fmt::format("{}{{part=\"daemon\"}} {}\n{}{{part=\"tracers\"}} {}\n", name, daemon, name,
                     tracers);
}

struct ColumnMetric {
  C column;
  std::string_view name, type, help;
};
constexpr std::array kColumns{
    ColumnMetric{C::kRssBytes, "memspy_target_rss_bytes", "gauge", "Resident memory."},
    ColumnMetric{C::kPssBytes, "memspy_target_pss_bytes", "gauge",
                 "Resident memory, shared pages divided by the number of their users."},
    ColumnMetric{C::kUssBytes, "memspy_target_uss_bytes", "gauge",
                 "Memory that would be free if the process ended."},
    ColumnMetric{C::kSwapBytes, "memspy_target_swap_bytes", "gauge", "Memory in swap."},
    ColumnMetric{C::kPeakRssBytes, "memspy_target_peak_rss_bytes", "gauge",
                 "The most resident memory so far."},
    ColumnMetric{C::kCgroupUsageBytes, "memspy_target_cgroup_usage_bytes", "gauge",
                 "Memory of the control group that has the limit."},
    ColumnMetric{C::kCgroupLimitBytes, "memspy_target_limit_bytes", "gauge",
                 "The limit of the control group; absent without one."},
    ColumnMetric{C::kThreads, "memspy_target_threads", "gauge", "Threads."},
    ColumnMetric{C::kOpenFiles, "memspy_target_open_files", "gauge", "Open file descriptors."},
    ColumnMetric{C::kMajorFaults, "memspy_target_major_faults_total", "counter",
                 "Page faults that needed the disk."},
    ColumnMetric{C::kMinorFaults, "memspy_target_minor_faults_total", "counter",
                 "Page faults that did not."},
};

struct TracedMetric {
  std::optional<double> TracerNews::*value;
  std::string_view name, type, help;
};
constexpr std::array kTraced{
    TracedMetric{&TracerNews::heap_used_bytes, "memspy_target_heap_used_bytes", "gauge",
                 "Python's own heap: in use. Known while it is traced."},
    TracedMetric{&TracerNews::heap_free_bytes, "memspy_target_heap_free_bytes", "gauge",
                 "Python's own heap: free, and not given back."},
    TracedMetric{
        &TracerNews::heap_blocks, "memspy_target_heap_blocks", "gauge",
        "Python's own heap: blocks in use, of which each object of up to 512 bytes is one. "
        "Known while it is traced."},
    TracedMetric{&TracerNews::samples, "memspy_target_samples_total", "counter",
                 "Stacks that were read."},
    TracedMetric{&TracerNews::rejected, "memspy_target_rejected_samples_total", "counter",
                 "Stacks that could not be read."},
    TracedMetric{&TracerNews::stopped_seconds, "memspy_target_stopped_seconds_total", "counter",
                 "Time that threads were stopped to be looked at."},
};

class Writer {
 public:
  Writer(const DaemonStatus& status, std::size_t most)
      : targets_(status.targets), count_(std::min(most, status.targets.size())) {
    for (std::size_t i = 0; i < count_; ++i) labels_.push_back(labels_of(targets_[i]));
  }

  template <typename Value>
  void each(std::string_view name, std::string_view type, std::string_view help, Value&& value) {
    bool any = false;
    for (std::size_t i = 0; i < count_; ++i) {
      const std::optional<double> figure = value(targets_[i]);
      if (!figure) continue;
      if (!any) head(out, name, type, help);
      any = true;
      out += fmt::format("{}{{{}}} {}\n", name, labels_[i], *figure);
    }
  }

  void collections() {
    constexpr std::string_view kName = "memspy_target_gc_collections_total";
    bool any = false;
    for (std::size_t i = 0; i < count_; ++i) {
      for (std::size_t generation = 0; generation < 3; ++generation) {
        const auto& figure = targets_[i].traced.collections[generation];
        if (!figure) continue;
        if (!any) head(out, kName, "counter", "Runs of Python's garbage collector.");
        any = true;
        out +=
            fmt::format("{}{{{},generation=\"{}\"}} {}\n", kName, labels_[i], generation, *figure);
      }
    }
  }

  std::string out;

 private:
  static std::string labels_of(const TargetStatus& target) {
    return fmt::format("service=\"{}\",pid=\"{}\",master_pid=\"{}\",process=\"{}\"",
                       label_text(target.facts->service), target.facts->identity.pid.value,
                       target.master.value, label_text(target.facts->process));
  }
  const std::vector<TargetStatus>& targets_;
  std::size_t count_;
  std::vector<std::string> labels_;
};

void write_own(std::string& out, const DaemonStatus& status) {
  head(out, "memspy_build_info", "gauge", "What the daemon is.");
  out += fmt::format("memspy_build_info{{version=\"{}\"}} 1\n", label_text(status.version));
  one(out, "memspy_uptime_seconds", "gauge", "Since the daemon started.",
      to_seconds(status.uptime));
  one(out, "memspy_targets", "gauge", "Processes that are watched.",
      static_cast<double>(status.targets.size()));
  one(out, "memspy_tracers", "gauge", "Tracers at work.", status.tracers);
  one(out, "memspy_tracer_crashes_total", "counter", "Tracers that were ended by a signal.",
      status.tracer_crashes);
  one(out, "memspy_alerts_firing", "gauge", "Alerts that fire.",
      static_cast<double>(status.alerts_firing));
  one(out, "memspy_alert_deliveries_waiting", "gauge", "Hooks and POSTs that are still to be done.",
      static_cast<double>(status.deliveries_waiting));
  one(out, "memspy_alert_deliveries_given_up_total", "counter",
      "Hooks and POSTs that failed for good.", static_cast<double>(status.deliveries_given_up));
  two(out, "memspy_cpu_seconds_total", "counter", "CPU time that watching costs.",
      status.own_cpu_seconds, status.tracers_cpu_seconds);
  two(out, "memspy_memory_bytes", "gauge", "Memory that watching costs (PSS).",
      static_cast<double>(status.own_memory_bytes),
      static_cast<double>(status.tracers_memory_bytes));
  one(out, "memspy_interval_seconds", "gauge", "Between two looks at a target, as it is now.",
      to_seconds(status.interval));
  one(out, "memspy_thrifty", "gauge", "1 while the budget has lowered something.",
      status.thrift.empty() ? 0 : 1);
  one(out, "memspy_recorded_bytes", "gauge", "Recordings on disk.",
      static_cast<double>(status.recorded_bytes));
  one(out, "memspy_evidence_bytes", "gauge", "Bundles of evidence on disk.",
      static_cast<double>(status.evidence_bytes));
  one(out, "memspy_removed_segments_total", "counter", "Old segments that were removed.",
      static_cast<double>(status.removed_files));
  one(out, "memspy_lost_ticks_total", "counter", "Ticks that the disk did not take in time.",
      static_cast<double>(status.lost_ticks));
  one(out, "memspy_disk_ok", "gauge", "0 while nothing can be written.",
      status.recorder_trouble.empty() ? 1 : 0);
  one(out, "memspy_config_reload_ok", "gauge", "0 when the last reload was refused.",
      status.config_error.empty() ? 1 : 0);
  if (!status.push) return;
  one(out, "memspy_pushed_profiles_total", "counter", "Profiles that the endpoint took.",
      static_cast<double>(status.push->profiles));
  one(out, "memspy_push_refused_profiles_total", "counter", "Profiles that it refused for good.",
      static_cast<double>(status.push->refused));
  one(out, "memspy_push_behind_seconds", "gauge", "How late the last window was, or is.",
      to_seconds(status.push->behind));
  one(out, "memspy_push_ok", "gauge", "0 while the endpoint takes nothing.",
      status.push->trouble.empty() ? 1 : 0);
}

}  // namespace

std::string metrics_text(const DaemonStatus& status, std::size_t most_targets) {
  Writer writer(status, most_targets);
  write_own(writer.out, status);
  for (const ColumnMetric& metric : kColumns)
    writer.each(metric.name, metric.type, metric.help,
                [&](const TargetStatus& target) { return target.figures[metric.column]; });
  writer.each("memspy_target_growth_bytes_per_second", "gauge",
              "Growth of resident memory over the last minute.", [](const TargetStatus& target) {
                const auto& rate = target.growth_per_minute;
                return rate ? std::optional(*rate / 60) : std::nullopt;
              });
  writer.each(
      "memspy_target_cgroup_working_set_bytes", "gauge",
      "What the control group that has the limit holds, without file cache that it would drop.",
      [](const TargetStatus& target) { return target.group_bytes; });
  for (const TracedMetric& metric : kTraced)
    writer.each(metric.name, metric.type, metric.help,
                [&](const TargetStatus& target) { return target.traced.*metric.value; });
  writer.collections();
  writer.each("memspy_target_traced", "gauge", "1 while a tracer is at work on it.",
              [](const TargetStatus& target) {
                return std::optional(target.tracer == "tracing" ? 1.0 : 0.0);
              });
  writer.each("memspy_target_tracer_cpu_seconds_total", "counter", "CPU time of its tracers.",
              [](const TargetStatus& target) { return std::optional(target.tracer_cpu_seconds); });
  writer.each("memspy_target_recorded_bytes", "gauge", "Recordings of it on disk.",
              [](const TargetStatus& target) {
                return std::optional(static_cast<double>(target.recorded_bytes));
              });
  return std::move(writer.out);
}

}  // namespace memspy::daemon
