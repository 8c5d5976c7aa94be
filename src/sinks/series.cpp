// The time series as CSV and as JSON lines.
#include <spdlog/fmt/fmt.h>

#include "base/duration.h"
#include "recording/summary_json.h"
#include "recording/text.h"
#include "sinks/writers.h"

namespace memspy::sinks {
namespace {

using recording::escape_text;
using recording::Profile;

pid_t pid_of(const Profile& profile, const SeriesPoint& point) {
  const auto* process = profile.find_process(point.process);
  return process == nullptr ? 0 : process->identity.pid.value;
}

std::string csv_head(const Profile& profile, bool with_pid) {
  const RunHeader& header = profile.header;
  std::string text =
      fmt::format("# memspy {} time series, engine {}: {}\n", escape_text(header.memspy_version),
                  escape_text(header.engine), escape_text(header.engine_reason));
  text += fmt::format("# start {}, host {}, interval {}\n", recording::utc_time(header.wall_start),
                      escape_text(header.host), format_duration(header.interval));
  for (const auto& process : profile.processes) {
    std::string python = "Python " + escape_text(process.python_version);
    if (process.python_version.empty())
      python = header.engine == "rss" ? "not looked at" : "not Python";
    text += fmt::format("# pid {}: {} ({}), seen after {:.3f} s\n", process.identity.pid.value,
                        escape_text(process.name), python, to_seconds(process.first_seen));
  }
  if (!profile.note.empty()) text += fmt::format("# note: {}\n", escape_text(profile.note));
  text += "time_seconds";
  for (const auto& column : series_columns()) text.append(",").append(column.name);
  return text + (with_pid ? ",pid\n" : "\n");
}

std::string cell(const SeriesColumnInfo& column, double value) {
  return column.integral ? fmt::format("{:.0f}", value) : fmt::format("{}", value);
}

}  // namespace

Result<Unit> write_csv(const Profile& profile, const FormatOptions&, std::ostream& out) {
  const bool with_pid = profile.processes.size() > 1;
  out << csv_head(profile, with_pid);
  std::string line;
  for (const auto& point : profile.points) {
    line = fmt::format("{:.6f}", to_seconds(point.time));
    for (const auto& column : series_columns()) {
      line.push_back(',');
      if (const auto& value = point[column.column]) line += cell(column, *value);
    }
    if (with_pid) line += fmt::format(",{}", pid_of(profile, point));
    out << line << '\n';
  }
  out.flush();
  return check_stream(out);
}

// Every line stands alone: it has the wall-clock time and the engine, and only what was measured.
Result<Unit> write_jsonl(const Profile& profile, const FormatOptions&, std::ostream& out) {
  for (const auto& point : profile.points) {
    nlohmann::ordered_json line;
    line["schema"] = "memspy.series/1";
    line["time_seconds"] = to_seconds(point.time);
    line["time"] = recording::utc_time(profile.header.wall_start + point.time);
    line["engine"] = profile.header.engine;
    line["pid"] = pid_of(profile, point);
    for (const auto& column : series_columns()) {
      const auto& value = point[column.column];
      if (!value.has_value()) continue;
      if (column.integral && *value > -9e18 && *value < 9e18) {
        line[std::string(column.name)] = static_cast<std::int64_t>(*value);
      } else {
        line[std::string(column.name)] = *value;
      }
    }
    out << recording::json_line(line);
  }
  out.flush();
  return check_stream(out);
}

}  // namespace memspy::sinks
