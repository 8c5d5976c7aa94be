#include "report/report.h"

#include <algorithm>
#include <map>

#include <spdlog/fmt/fmt.h>

#include "base/byte_units.h"
#include "base/duration.h"
#include "recording/summary_json.h"
#include "recording/text.h"
#include "report/text_table.h"

namespace memspy::report {
namespace {

using nlohmann::ordered_json;
using recording::Amount;
using recording::escape_text;
using recording::Profile;

constexpr std::size_t kSparklineWidth = 40;

double fraction(std::uint64_t part, std::uint64_t whole) {
  return whole == 0 ? 0 : static_cast<double>(part) / static_cast<double>(whole);
}

Groups sorted_groups(const Profile& profile, const ReportOptions& options) {
  Groups groups =
      group_stacks(recording::shape_stacks(profile, options.shape, options.amount), options.by);
  if (options.sort == SortBy::kCumulative) {
    std::stable_sort(groups.rows.begin(), groups.rows.end(),
                     [](const Group& a, const Group& b) { return a.cumulative > b.cumulative; });
  }
  if (options.sort == SortBy::kName) {
    std::stable_sort(groups.rows.begin(), groups.rows.end(),
                     [](const Group& a, const Group& b) { return a.name < b.name; });
  }
  return groups;
}

// RSS of all processes over time: at each time the last known of each.
std::vector<double> rss_over_time(const Profile& profile) {
  std::map<ProcessIndex, double> last;
  std::vector<double> sums;
  for (std::size_t i = 0; i < profile.points.size(); ++i) {
    const auto& point = profile.points[i];
    last[point.process] = point[SeriesColumn::kRssBytes].value_or(last[point.process]);
    if (i + 1 < profile.points.size() && profile.points[i + 1].time == point.time) continue;
    double sum = 0;
    for (const auto& [process, rss] : last) sum += rss;
    sums.push_back(sum);
  }
  return sums;
}

std::string rss_line(const Profile& profile, const Style& style) {
  const RunFigures f = run_figures(profile);
  std::string text = fmt::format("RSS {} {} {}, peak {}", format_bytes(f.rss_start_bytes),
                                 style.ascii ? "->" : "→", format_bytes(f.rss_end_bytes),
                                 format_bytes(f.rss_peak_bytes));
  const auto values = rss_over_time(profile);
  if (values.size() > 1) text += "  " + sparkline(values, kSparklineWidth, style.ascii);
  return text;
}

std::string csv_cell(const std::string& text) {
  if (text.find_first_of(",\"\n\r") == std::string::npos) return text;
  std::string quoted = "\"";
  for (const char c : text) {
    if (c == '"') quoted.push_back('"');
    quoted.push_back(c);
  }
  return quoted + "\"";
}

ordered_json group_json(const Group& group, const Groups& all) {
  const std::string unit = recording::unit_name(all.measure);
  return {{"name", group.name},
          {"function", group.function},
          {"file", group.file},
          {"line", group.line},
          {"own_" + unit, group.own},
          {"own_share", fraction(group.own, all.total)},
          {"cumulative_" + unit, group.cumulative},
          {"cumulative_share", fraction(group.cumulative, all.total)},
          {"samples", group.samples}};
}

void add_growth(ordered_json& document, const RunFigures& f) {
  document["growth_bytes"] = f.growth_bytes;
  document["attributed_bytes"] = f.attributed_bytes;
  document["unattributed_bytes"] = f.unattributed_bytes;
  document["shrink_bytes"] = f.shrink_bytes;
  document["untraced_bytes"] = f.untraced_growth_bytes;
}

void add_clock(ordered_json& document, const RunFigures& f) {
  const auto microseconds = [](std::chrono::nanoseconds time) { return time.count() / 1000; };
  document["clock_ticks"] = f.ticks;
  document["unclassified_ticks"] = f.unclassified ? ordered_json(*f.unclassified) : ordered_json();
  document["user_cpu_microseconds"] = microseconds(f.user_cpu);
  document["allocating_microseconds"] = microseconds(f.allocating);
  document["allocating_share"] =
      fraction(static_cast<std::uint64_t>(std::max<std::int64_t>(f.allocating.count(), 0)),
               static_cast<std::uint64_t>(std::max<std::int64_t>(f.user_cpu.count(), 0)));
}

const char* mode_text(const std::string& mode) {
  if (mode == "live") return "mode live (the Python heap), ";
  return mode == "alloc" ? "mode alloc (time spent allocating), " : "";
}

std::string no_rows(const Profile& profile, recording::Measure measure) {
  if (run_figures(profile).untraced_growth_bytes > 0) return "what grew was not traced\n";
  return recording::word_of(measure, "nothing grew\n", "nothing was allocated\n",
                            "nothing was seen\n");
}

const char* amount_heading(const Groups& groups, Amount amount) {
  return recording::word_of(groups.measure, amount == Amount::kGross ? "touched" : "growth",
                            "allocating", "temporary");
}

}  // namespace

std::string run_title(const Profile& profile) {
  std::string who = "no process";
  if (const auto* process = profile.find_process({1})) {
    who = fmt::format("pid {} ({}", process->identity.pid.value, escape_text(process->name));
    if (!process->python_version.empty()) who += ", Python " + escape_text(process->python_version);
    who += ")";
  }
  if (const std::size_t more = profile.processes.size(); more > 1) {
    who += fmt::format(" and {} more process{}", more - 1, more > 2 ? "es" : "");
  }
  return fmt::format(
      "{}, {}engine {}{}, {} from {}", who, mode_text(profile.header.mode),
      escape_text(profile.header.engine), profile.header.engine == "poll" ? " (approximate)" : "",
      format_duration(run_figures(profile).duration),
      recording::utc_time(profile.header.wall_start +
                          profile.window.from.value_or(std::chrono::nanoseconds(0))));
}

std::string report_head(const Profile& profile, const ReportOptions& options) {
  std::string text;
  if (const std::string loss = loss_line(profile); !loss.empty())
    text += warning(options.style, loss) + "\n";
  text += run_title(profile) + "\n";
  if (run_figures(profile).rss_peak_bytes > 0) text += rss_line(profile, options.style) + "\n";
  return text + bold(options.style, verdict(profile, options.shape, options.amount)) + "\n\n";
}

std::string report_foot(const Profile& profile, const ReportOptions& options) {
  return "\n" + dim(options.style, evidence_line(run_figures(profile))) + "\n";
}

std::string report_table(const Profile& profile, const ReportOptions& options) {
  const Groups groups = sorted_groups(profile, options);
  TextTable table({{amount_heading(groups, options.amount)},
                   {"%"},
                   {"cumulative"},
                   {"%"},
                   {"samples"},
                   {std::string(group_name(options.by)), Align::kLeft}});
  std::size_t shown = 0;
  std::uint64_t hidden = 0;
  for (const auto& row : groups.rows) {
    if (options.limit != 0 && shown >= options.limit) {
      hidden += row.own;
      continue;
    }
    ++shown;
    const auto total = static_cast<double>(groups.total);
    table.add({recording::format_amount(groups.measure, row.own),
               percent(static_cast<double>(row.own), total),
               recording::format_amount(groups.measure, row.cumulative),
               percent(static_cast<double>(row.cumulative), total), std::to_string(row.samples),
               escape_text(row.name)});
  }
  std::string text = report_head(profile, options);
  text += table.empty() ? no_rows(profile, groups.measure) : table.render(options.style);
  if (shown < groups.rows.size()) {
    text += dim(options.style, fmt::format("and {} more with {}", groups.rows.size() - shown,
                                           recording::format_amount(groups.measure, hidden))) +
            "\n";
  }
  return text + report_foot(profile, options);
}

std::string report_csv(const Profile& profile, const ReportOptions& options) {
  const Groups groups = sorted_groups(profile, options);
  std::string text = "# memspy report: " + run_title(profile) + "\n";
  if (const std::string loss = loss_line(profile); !loss.empty()) text += "# " + loss + "\n";
  const char* unit = recording::unit_name(groups.measure);
  text += fmt::format(
      "function,file,line,own_{0},own_percent,cumulative_{0},cumulative_percent,samples\n", unit);
  for (const auto& row : groups.rows) {
    text +=
        fmt::format("{},{},{},{},{:.3f},{},{:.3f},{}\n", csv_cell(row.function), csv_cell(row.file),
                    row.line == 0 ? std::string() : std::to_string(row.line), row.own,
                    100 * fraction(row.own, groups.total), row.cumulative,
                    100 * fraction(row.cumulative, groups.total), row.samples);
  }
  return text;
}

std::string report_json(const Profile& profile, const ReportOptions& options) {
  const Groups groups = sorted_groups(profile, options);
  const RunFigures f = run_figures(profile);
  ordered_json document;
  document["schema"] = "memspy.report/1";
  recording::add_run_head(profile, document);
  document["by"] = group_name(options.by);
  document["gross"] = options.amount == Amount::kGross;
  document["temporary"] = options.amount == Amount::kTemporary;
  document["duration_seconds"] = to_seconds(f.duration);
  document["samples"] = f.samples;
  document["rejected"] = f.rejected;
  f.measure == recording::Measure::kBytes ? add_growth(document, f) : add_clock(document, f);
  document["rss_bytes"] = {
      {"start", f.rss_start_bytes}, {"end", f.rss_end_bytes}, {"peak", f.rss_peak_bytes}};
  if (f.measure == recording::Measure::kBytes)
    document["growth_start"] = recording::growth_start_json(profile);
  document["verdict"] = verdict(profile, options.shape, options.amount);
  document["evidence"] = evidence_line(f);
  document["loss"] = loss_line(profile);
  document[std::string("total_") + recording::unit_name(groups.measure)] = groups.total;
  auto rows = ordered_json::array();
  for (const auto& row : groups.rows) rows.push_back(group_json(row, groups));
  document["rows"] = std::move(rows);
  return recording::json_text(document);
}

}  // namespace memspy::report
