#include "report/trace_text.h"

#include <algorithm>
#include <cmath>

#include <spdlog/fmt/fmt.h>

#include "base/byte_units.h"
#include "base/digits.h"
#include "base/duration.h"
#include "recording/text.h"
#include "report/cells.h"
#include "report/heap_text.h"
#include "report/text_table.h"

namespace memspy::report {
namespace {

using recording::escape_text;

constexpr double kWorthAName = 0.05;  // of what is traced: a row to look at
constexpr double kCoversRss = 0.5;    // less: most of the process is not Python's
constexpr std::int64_t kGrowthWorthAWord = 64
                                           << 10;  // bytes of growth; less is noise of any program

std::string what_is_kept(const TraceTable& table) {
  if (table.frame_limit == 0) return "frames kept per trace not known";
  return fmt::format("{} frame{} kept per trace", table.frame_limit,
                     table.frame_limit == 1 ? "" : "s");
}

std::string facts(const TraceView& look) {
  const TraceTable& table = *look.table;
  std::string text = fmt::format("tracemalloc: {} traced in {} blocks",
                                 format_bytes(table.current_bytes.value_or(table.traced_bytes)),
                                 grouped_digits(table.traces.size()));
  text += table.peak_bytes ? fmt::format(", {} at its peak", format_bytes(*table.peak_bytes))
                           : ", peak not known";
  text += ", " + what_is_kept(table) + "\n";
  if (look.header->rss_bytes > 0)
    text += fmt::format("process RSS {}; ", format_bytes(look.header->rss_bytes));
  text += fmt::format("tracing itself takes about {}", format_bytes(table.own_bytes));
  if (look.header->pause.count() > 0)
    text += fmt::format("; paused {}", format_duration(look.header->pause));
  return text;
}

void add_callers(TextTable& table, const TraceRow& row, std::size_t columns) {
  for (const std::string& caller : row.callers) {
    std::vector<std::string> cells(columns);
    cells.back() = "  called from " + escape_text(caller);
    table.add(std::move(cells));
  }
}

std::string rows_text(const TraceRows& rows, const TraceReportOptions& options) {
  const bool types = rows.by == TraceGroup::kType;
  std::vector<TextTable::Column> columns{{"#"}, {"blocks"}, {"%"}, {"bytes"}, {"%"}};
  if (types) columns.push_back({"type", Align::kLeft});
  columns.push_back(
      {types ? "allocated at" : std::string(trace_group_name(rows.by)), Align::kLeft});
  const std::size_t width = columns.size();
  TextTable table(std::move(columns));
  TraceTotals rest = rows.total;
  const std::size_t shown =
      options.limit == 0 ? rows.rows.size() : std::min(options.limit, rows.rows.size());
  for (std::size_t i = 0; i < shown; ++i) {
    const TraceRow& row = rows.rows[i];
    std::vector<std::string> cells{
        std::to_string(i), grouped_digits(row.count), whole_percent(row.count, rows.total.count),
        grouped_digits(row.bytes), whole_percent(row.bytes, rows.total.bytes)};
    if (types) cells.push_back(escape_text(row.type));
    cells.push_back(escape_text(row.place));
    table.add(std::move(cells));
    add_callers(table, row, width);
    rest.count -= row.count;
    rest.bytes -= row.bytes;
  }
  std::string text = table.render(options.style);
  if (shown < rows.rows.size())
    text +=
        dim(options.style, fmt::format("and {} more: {} blocks, {} bytes",
                                       grouped_digits(rows.rows.size() - shown),
                                       grouped_digits(rest.count), grouped_digits(rest.bytes))) +
        "\n";
  return text;
}

std::string left_out_line(const TraceRows& rows) {
  if (rows.left_out.count == 0) return "";
  return fmt::format("left out by the filters: {} blocks, {} bytes\n",
                     grouped_digits(rows.left_out.count), grouped_digits(rows.left_out.bytes));
}

// What could not be read: every counter that is not 0.
std::string damage_lines(const TraceView& look) {
  const TraceTable& table = *look.table;
  const TraceDamage& damage = table.damage;
  std::string text;
  const auto line = [&](std::uint64_t number, std::string_view what) {
    if (number > 0) text += fmt::format("{} {}\n", grouped_digits(number), what);
  };
  line(damage.missing, "traces that the table counts were not found");
  line(damage.broken_chains, "chains of the table contradicted themselves and were cut");
  line(damage.traces, "traces could not be read and are in no sum");
  line(damage.stacks, "traces have a stack that could not be read: [unreadable]");
  line(damage.names, "files have a name that could not be read: [unreadable]");
  line(damage.frames, "frames of stacks were left out");
  if (table.current_bytes && *table.current_bytes != table.traced_bytes)
    text += fmt::format("the traces that were read sum up to {} bytes, the process says {}\n",
                        grouped_digits(table.traced_bytes), grouped_digits(*table.current_bytes));
  return text + moved_threads_text(*look.header);
}

std::string name_of(const TraceRow& row) {
  if (row.type.empty()) return escape_text(row.place);
  return fmt::format("{} made at {}", escape_text(row.type), escape_text(row.place));
}

double minutes_between(const TraceView& before, const TraceView& now) {
  const auto time = now.header->wall_time - before.header->wall_time;
  return std::max(0.0, to_seconds(time) / 60);
}

std::string growth_rows_text(const std::vector<TraceGrowth>& rows, TraceGroup by,
                             const TraceReportOptions& options) {
  if (rows.empty()) return "nothing grew or shrank\n";
  const bool types = by == TraceGroup::kType;
  std::vector<TextTable::Column> columns{{"grown"}, {"blocks"}, {"before"}, {"now"}};
  if (types) columns.push_back({"type", Align::kLeft});
  columns.push_back({types ? "allocated at" : std::string(trace_group_name(by)), Align::kLeft});
  const std::size_t width = columns.size();
  TextTable table(std::move(columns));
  const std::size_t shown = options.limit == 0 ? rows.size() : std::min(options.limit, rows.size());
  std::int64_t rest = 0;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const TraceGrowth& row = rows[i];
    if (i >= shown) {
      rest += row.grown_bytes;
      continue;
    }
    std::vector<std::string> cells{format_signed_bytes(row.grown_bytes),
                                   signed_count(row.grown_count), format_bytes(row.before.bytes),
                                   format_bytes(row.now.bytes)};
    if (types) cells.push_back(escape_text(row.row.type));
    cells.push_back(escape_text(row.row.place));
    table.add(std::move(cells));
    add_callers(table, row.row, width);
  }
  std::string text = table.render(options.style);
  if (shown < rows.size())
    text += dim(options.style, fmt::format("and {} more: {}", grouped_digits(rows.size() - shown),
                                           format_signed_bytes(rest))) +
            "\n";
  return text;
}

}  // namespace

std::string trace_verdict(const TraceView& look, const TraceRows& rows) {
  const int pid = look.header->process.pid.value;
  if (rows.rows.empty()) {
    return rows.left_out.count > 0 ? "no traced block matches the filters"
                                   : "nothing is traced: what was allocated before tracing began "
                                     "is in no trace";
  }
  const TraceRow& top = rows.rows.front();
  const auto all = static_cast<double>(rows.total.bytes);
  const std::string part = percent(static_cast<double>(top.bytes), all);
  std::string text;
  if (static_cast<double>(top.bytes) >= kWorthAName * all) {
    const std::string bytes = format_bytes(top.bytes);
    text = fmt::format(
        "{} {} ({} of what is {}): memspy traces {} --watch 30s says whether it grows",
        name_of(top),
        top.type.empty() ? "allocated " + bytes + " that are still there" : "takes " + bytes, part,
        rows.left_out.count > 0 ? "shown" : "traced", pid);
  } else {
    text =
        fmt::format("no {} has more than {} of what is traced: {}", trace_group_name(rows.by), part,
                    rows.by == TraceGroup::kFile ? "look at types, with --by type"
                                                 : "look at files, with --by file");
  }
  const auto rss = static_cast<double>(look.header->rss_bytes);
  const auto traced = static_cast<double>(look.table->traced_bytes);
  const auto own = static_cast<double>(look.table->own_bytes);
  if (rss > 0 && traced + own < kCoversRss * rss)
    text += fmt::format("; what is traced is {} of RSS, memspy heap {} says what the rest is",
                        percent(traced, rss), pid);
  return text;
}

std::string trace_growth_verdict(const std::vector<TraceGrowth>& rows, double minutes) {
  const auto grew = std::find_if(rows.begin(), rows.end(), [](const TraceGrowth& row) {
    return row.grown_bytes >= kGrowthWorthAWord;
  });
  if (grew == rows.end()) return "nothing grew by more than 64 KiB";
  std::string text =
      fmt::format("{} grew by {} ({} blocks", name_of(grew->row),
                  format_signed_bytes(grew->grown_bytes), signed_count(grew->grown_count));
  if (minutes > 0)
    text += fmt::format(
        ", {}/min",
        format_signed_bytes(std::llround(static_cast<double>(grew->grown_bytes) / minutes)));
  return text + "): look there for what keeps them";
}

std::string trace_text(const TraceView& look, const TraceReportOptions& options) {
  const TraceRows rows = group_traces(*look.table, options.by, options.filter);
  std::string text = bold(options.style, snapshot_title(*look.header)) + "\n";
  text += dim(options.style, facts(look)) + "\n\n";
  if (!rows.rows.empty()) text += rows_text(rows, options);
  text += left_out_line(rows);
  text += damage_lines(look);
  return text + "\n" + bold(options.style, trace_verdict(look, rows)) + "\n";
}

std::string trace_growth_text(const TraceView& before, const TraceView& now,
                              const TraceReportOptions& options) {
  const auto rows = compare_traces(group_traces(*before.table, options.by, options.filter),
                                   group_traces(*now.table, options.by, options.filter));
  const double minutes = minutes_between(before, now);
  const auto change = static_cast<std::int64_t>(now.table->traced_bytes) -
                      static_cast<std::int64_t>(before.table->traced_bytes);
  std::string text = fmt::format(
      "{} later: {}\n{} since the first look\n\n",
      format_duration(std::chrono::nanoseconds(now.header->wall_time - before.header->wall_time)),
      facts(now), change == 0 ? "no change" : format_signed_bytes(change) + " traced");
  text += growth_rows_text(rows, options.by, options);
  text += damage_lines(now);
  return text + "\n" + bold(options.style, trace_growth_verdict(rows, minutes)) + "\n";
}

}  // namespace memspy::report
