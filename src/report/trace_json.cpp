#include <nlohmann/json.hpp>

#include <algorithm>
#include <map>

#include "recording/text.h"
#include "report/heap_text.h"
#include "report/trace_text.h"

namespace memspy::report {
namespace {

using nlohmann::ordered_json;

ordered_json totals_json(const TraceTotals& totals) {
  return {{"count", totals.count}, {"bytes", totals.bytes}};
}

ordered_json optional_json(const std::optional<std::uint64_t>& number) {
  return number ? ordered_json(*number) : ordered_json(nullptr);
}

void add_row_name(const TraceRow& row, TraceGroup by, ordered_json& entry) {
  if (by == TraceGroup::kType) entry["type"] = row.type;
  entry[by == TraceGroup::kFile ? "file" : "line"] = row.place;
  if (by == TraceGroup::kTraceback) entry["callers"] = row.callers;
}

ordered_json damage_json(const TraceDamage& damage) {
  return {{"missing", damage.missing}, {"broken_chains", damage.broken_chains},
          {"traces", damage.traces},   {"stacks", damage.stacks},
          {"names", damage.names},     {"frames", damage.frames}};
}

ordered_json tracing_json(const TraceTable& table) {
  return {{"current_bytes", optional_json(table.current_bytes)},
          {"peak_bytes", optional_json(table.peak_bytes)},
          {"traces", table.traces.size()},
          {"bytes", table.traced_bytes},
          {"frame_limit", table.frame_limit},
          {"own_bytes", table.own_bytes},
          {"found_by", table.found_by}};
}

// A stack, outermost call first; its sum.
using Folded = std::map<std::string, std::uint64_t>;

Folded fold(const TraceTable& table, const TraceReportOptions& options) {
  Folded folded;
  const bool types = options.by == TraceGroup::kType;
  for (const TraceRow& row : group_stacks(table, types, options.filter).rows) {
    std::string line;
    for (auto caller = row.callers.rbegin(); caller != row.callers.rend(); ++caller)
      line += recording::escape_text(*caller, ";\\") + ";";
    line += recording::escape_text(row.place, ";\\");
    if (types) line += ";" + recording::escape_text(row.type, ";\\");
    folded[line] += row.bytes;
  }
  return folded;
}

std::string folded_text(const Folded& folded) {
  std::vector<std::string> lines;
  for (const auto& [stack, bytes] : folded)
    if (bytes > 0) lines.push_back(stack + " " + std::to_string(bytes) + "\n");
  std::sort(lines.begin(), lines.end());
  std::string text;
  for (const std::string& line : lines) text += line;
  return text;
}

}  // namespace

ordered_json trace_json(const TraceView& look, const TraceReportOptions& options) {
  const TraceRows rows = group_traces(*look.table, options.by, options.filter);
  ordered_json document;
  document["schema"] = "memspy.traces/1";
  add_snapshot_head(*look.header, document);
  document["tracing"] = tracing_json(*look.table);
  document["by"] = trace_group_name(options.by);
  document["shown"] = totals_json(rows.total);
  document["left_out"] = totals_json(rows.left_out);
  auto list = ordered_json::array();
  for (const TraceRow& row : rows.rows) {
    ordered_json entry;
    add_row_name(row, options.by, entry);
    entry["count"] = row.count;
    entry["bytes"] = row.bytes;
    list.push_back(std::move(entry));
  }
  document["rows"] = std::move(list);
  document["unread"] = damage_json(look.table->damage);
  document["verdict"] = trace_verdict(look, rows);
  return document;
}

ordered_json trace_growth_json(const TraceView& before, const TraceView& now,
                               const TraceReportOptions& options) {
  const auto rows = compare_traces(group_traces(*before.table, options.by, options.filter),
                                   group_traces(*now.table, options.by, options.filter));
  const double seconds =
      std::chrono::duration<double>(now.header->wall_time - before.header->wall_time).count();
  auto list = ordered_json::array();
  for (const TraceGrowth& row : rows) {
    ordered_json entry;
    add_row_name(row.row, options.by, entry);
    entry["before"] = totals_json(row.before);
    entry["now"] = totals_json(row.now);
    entry["grown_count"] = row.grown_count;
    entry["grown_bytes"] = row.grown_bytes;
    list.push_back(std::move(entry));
  }
  return {{"seconds", seconds},
          {"rows", std::move(list)},
          {"verdict", trace_growth_verdict(rows, seconds / 60)}};
}

std::string trace_folded(const TraceView& look, const TraceReportOptions& options) {
  return folded_text(fold(*look.table, options));
}

std::string trace_growth_folded(const TraceView& before, const TraceView& now,
                                const TraceReportOptions& options) {
  Folded grown = fold(*now.table, options);
  for (const auto& [stack, bytes] : fold(*before.table, options)) {
    const auto at = grown.find(stack);
    if (at != grown.end()) at->second -= std::min(at->second, bytes);
  }
  return folded_text(grown);
}

}  // namespace memspy::report
