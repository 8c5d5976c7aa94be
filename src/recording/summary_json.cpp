#include "recording/summary_json.h"

#include <cmath>

#include "base/duration.h"
#include "recording/text.h"

namespace memspy::recording {

using nlohmann::ordered_json;

namespace {

constexpr std::string_view kClockEngine = "clock";

double microseconds(std::chrono::nanoseconds duration) {
  return std::chrono::duration<double, std::micro>(duration).count();
}

// A count is an integer in the document, whatever it is in the summary.
ordered_json number(double value) {
  constexpr double kExact = 9007199254740992.0;  // 2^53: integers up to here are held exactly
  if (value >= 0 && value < kExact && std::floor(value) == value)
    return static_cast<std::uint64_t>(value);
  return value;
}

std::string dump(const ordered_json& value) {
  return value.dump(-1, ' ', false, ordered_json::error_handler_t::replace);
}

}  // namespace

ordered_json summary_json(const RunSummary& summary, std::string_view engine) {
  ordered_json out;
  out["schema"] = "memspy.record/1";
  out["engine"] = engine;
  out["duration_seconds"] = to_seconds(summary.duration);
  out["samples"] = summary.samples;
  out["rejected"] = summary.rejected;
  if (engine != kClockEngine) {  // which does not see growth
    out["growth_bytes"] = summary.growth_bytes;
    out["attributed_bytes"] = summary.attributed_bytes;
    out["unattributed_bytes"] = summary.unattributed_bytes;
    out["shrink_bytes"] = summary.shrink_bytes;
  }
  out["stopped_seconds"] = to_seconds(summary.stopped);
  out["pause_us"] = {{"p50", microseconds(summary.pause_p50)},
                     {"p99", microseconds(summary.pause_p99)},
                     {"max", microseconds(summary.pause_max)}};
  out["rss_bytes"] = {{"start", summary.rss_start_bytes},
                      {"end", summary.rss_end_bytes},
                      {"peak", summary.rss_peak_bytes}};
  out["ended_by"] = summary.ended_by;
  out["late"] = summary.late;
  out["counters"] = ordered_json::object();
  for (const auto& [name, value] : summary.counters) out["counters"][name] = number(value);
  return out;
}

void add_run_head(const Profile& profile, ordered_json& document) {
  const RunHeader& header = profile.header;
  document["memspy_version"] = header.memspy_version;
  document["mode"] = header.mode;
  document["engine"] = header.engine;
  document["engine_reason"] = header.engine_reason;
  document["start_time"] = utc_time(header.wall_start);
  document["host"] = header.host;
  document["kernel"] = header.kernel;
  if (!profile.window.whole()) {
    document["window"] = {{"from_seconds", to_seconds(profile.begin_time)},
                          {"to_seconds", to_seconds(profile.last_time)}};
  }
  if (!profile.note.empty()) document["note"] = profile.note;
}

ordered_json growth_start_json(const Profile& profile) {
  const auto start = growth_start_of(profile);
  if (!start) return nullptr;
  return {{"time", utc_time(profile.header.wall_start + start->time)},
          {"seconds_before_end", to_seconds(profile.last_time - start->time)},
          {"rss_bytes", std::llround(start->bytes)},
          {"bytes_per_minute", std::llround(start->bytes_per_minute)}};
}

std::string json_line(const ordered_json& document) { return dump(document) + "\n"; }

std::string json_text(const ordered_json& document) {
  std::string out = "{";
  const char* separator = "\n";
  for (const auto& [key, value] : document.items()) {
    out += separator + dump(ordered_json(key)) + ": ";
    separator = ",\n";
    // Long lists get a line for each element, so that two documents can be compared line by line.
    if (!value.is_array() || value.size() < 2 || !value.front().is_object()) {
      out += dump(value);
      continue;
    }
    const char* inner = "[\n  ";
    for (const auto& element : value) {
      out += inner + dump(element);
      inner = ",\n  ";
    }
    out += "\n]";
  }
  return out + "\n}\n";
}

}  // namespace memspy::recording
