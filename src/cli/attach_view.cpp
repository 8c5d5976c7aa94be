#include "cli/attach_view.h"

#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <cmath>

#include "base/byte_units.h"
#include "base/duration.h"
#include "cli/process_facts.h"
#include "cli/top_view.h"
#include "report/display.h"

namespace memspy::cli {
namespace {

constexpr std::size_t kStatusSparkWidth = 12;

// What grows now; when nothing does, what has grown most. Of time, what has most so far. A line of
// Python, whatever it has called.
std::optional<TopRow> top_row(const TopModel& model, bool by_line) {
  TopQuery query;
  query.by_line = by_line;
  query.past_native = true;
  if (model.tells_time()) query.sort = TopSort::kOwn;
  auto rows = model.rows(query);
  if (!rows.empty() && rows.front().now_per_second <= 0 && query.sort == TopSort::kNow) {
    query.sort = TopSort::kOwn;
    rows = model.rows(query);
  }
  if (rows.empty() || rows.front().own <= 0) return std::nullopt;
  return rows.front();
}

std::string row_place(const TopRow& row) { return place_text(row.function, row.file, row.line); }

std::string growth_text(const TopModel& model, const TopRow& row) {
  return fmt::format("  {} {}", amount_text(model, row.own), row_place(row));
}

std::string allocation_text(const TopModel& model, const TopRow& row) {
  const CpuTime time = model.cpu_time();
  return fmt::format("  allocating {} of user CPU time, most in {} ({})",
                     report::percent(to_seconds(time.allocating), to_seconds(time.user)),
                     row_place(row), amount_text(model, row.own));
}

std::string ending_text(const TopModel& model, const AttachStyle& style, const TopRow& row) {
  const auto end = style.native ? model.ends_in(row, style.by_line) : std::nullopt;
  return end ? ", ends in " + row_place(*end) : "";
}

Json ending_json(const TopModel& model, const AttachStyle& style, const TopRow& row) {
  const auto end = model.ends_in(row, style.by_line);
  if (!end) return nullptr;
  return {{"function", end->function}, {"file", end->file}, {"module", end->module}};
}

// A line each under the total, figures below its figures.
std::string workers_text(const TopModel& model, bool by_line) {
  if (!model.with_children() || model.process_count() < 2) return {};
  std::string text;
  const auto workers = model.workers(by_line);
  const std::size_t shown = std::min(workers.size(), kMostWorkers);
  for (std::size_t i = 0; i < shown; ++i) {
    const WorkerRow& row = workers[i];
    const auto& rate = row.growth_per_minute;
    text += fmt::format("{:>11}      {:>9}  {:>11}/min  {}", row.pid.value,
                        format_bytes(static_cast<std::uint64_t>(row.rss_bytes)),
                        rate ? format_signed_bytes(std::llround(*rate)) : "-", printable(row.name));
    if (row.top) text += "  " + row_place(*row.top);
    if (row.top && model.tells_time())
      text += fmt::format(" ({})", amount_text(model, row.top->own));
    text += '\n';
  }
  if (shown < workers.size()) text += "   " + more_workers(workers.size() - shown) + '\n';
  return text;
}

}  // namespace

std::string attach_status_text(const TopModel& model, const AttachStyle& style,
                               std::chrono::nanoseconds time) {
  const double rss = model.figure(SeriesColumn::kRssBytes).value_or(0);
  const auto rate = model.growth_per_minute();
  std::string text = fmt::format("{:>11}  RSS {:>9}  {:>11}/min", format_duration(time),
                                 format_bytes(static_cast<std::uint64_t>(rss)),
                                 rate ? format_signed_bytes(std::llround(*rate)) : "-");
  const auto course = report::sparkline(model.rss_history(), kStatusSparkWidth, /*ascii=*/false);
  text += "  " + course;
  if (const auto row = top_row(model, style.by_line)) {
    text += std::string(kStatusSparkWidth - report::display_width(course), ' ');
    text += model.tells_time() ? allocation_text(model, *row) : growth_text(model, *row);
    text += ending_text(model, style, *row);
  }
  return text + '\n' + workers_text(model, style.by_line);
}

Json attach_status_json(const TopModel& model, const AttachStyle& style, Pid pid) {
  const auto rate = model.growth_per_minute();
  Json json = {{"schema", "memspy.attach/1"},
               {"event", "status"},
               {"time_seconds", to_seconds(model.now())},
               {"pid", pid.value}};
  json["rss_bytes"] = std::llround(model.figure(SeriesColumn::kRssBytes).value_or(0));
  json["growth_bytes_per_minute"] = rate ? Json(std::llround(*rate)) : Json(nullptr);
  json["top"] = nullptr;
  if (model.tells_time()) json["allocating_share"] = allocating_share_json(model);
  if (const auto row = top_row(model, style.by_line)) {
    json["top"] = own_json(model, *row);
    if (style.native) json["top"]["ends_in"] = ending_json(model, style, *row);
  }
  if (model.with_children()) json["workers"] = workers_json(model, style.by_line);
  return json;
}

}  // namespace memspy::cli
