#include "cli/top_view.h"

#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "base/byte_units.h"
#include "base/duration.h"
#include "cli/process_list.h"
#include "report/display.h"

namespace memspy::cli {
namespace {

using C = SeriesColumn;
constexpr std::size_t kSparkWidth = 40;
constexpr std::size_t kHottestFrames = 6;
constexpr std::size_t kMostWorkers = 8;  // on a screen, and a sixth of its height at most

constexpr std::array<std::string_view, 6> kSortNames{"growth/s", "own",      "cumulative",
                                                     "samples",  "function", "file"};

std::string bytes_text(const std::optional<double>& bytes) {
  return bytes ? format_bytes(static_cast<std::uint64_t>(std::max(*bytes, 0.0))) : "-";
}

std::string signed_text(double bytes) { return format_signed_bytes(std::llround(bytes)); }

std::string base_name(const std::string& path) { return path.substr(path.rfind('/') + 1); }

std::string title_line(const TopHead& head) {
  std::string line = fmt::format("memspy top  {}  {}", head.pid.value, printable(head.command));
  if (!head.python_version.empty()) line += "  Python " + head.python_version;
  if (head.uptime.count() > 0) line += "  up " + format_duration(head.uptime);
  return line + "  engine " + head.engine;
}

std::string memory_figures(const TopModel& model) {
  std::string line = fmt::format("RSS {}  PSS {}  peak {}", bytes_text(model.figure(C::kRssBytes)),
                                 bytes_text(model.figure(C::kPssBytes)),
                                 bytes_text(model.figure(C::kPeakRssBytes)));
  if (model.process_count() > 1) line += fmt::format("  in {} processes", model.process_count());
  const auto limit = model.figure(C::kCgroupLimitBytes);
  const auto usage = model.figure(C::kCgroupUsageBytes);
  if (limit && usage && *limit > 0)
    line += fmt::format("  cgroup {} of {} ({:.0f} %)", bytes_text(usage), bytes_text(limit),
                        100 * *usage / *limit);
  if (const auto left = model.time_to_limit()) line += "  full in " + format_duration(*left);
  return line;
}

std::string growth_line(const TopModel& model) {
  const auto rate = model.growth_per_minute();
  return fmt::format("growth {}/min  {}", rate ? signed_text(*rate) : "-",
                     report::sparkline(model.rss_history(), kSparkWidth, /*ascii=*/false));
}

std::string evidence_line(const TopModel& model, const TopHead& head) {
  const double samples = model.figure(C::kSamples).value_or(0);
  const double rejected = model.figure(C::kRejected).value_or(0);
  const double all = samples + rejected;
  const double seconds = to_seconds(model.now());
  const double stopped = model.figure(C::kStoppedSeconds).value_or(0);
  std::string line = fmt::format("{:.0f} samples, {:.2f} % rejected, stopped {:.2f} % of the time",
                                 samples, all > 0 ? 100 * rejected / all : 0.0,
                                 seconds > 0 ? 100 * stopped / seconds : 0.0);
  const auto& summary = model.profile().summary;
  if (const auto p99 = summary ? summary->pause_p99 : head.pause_p99; p99.count() > 0)
    line += fmt::format(" (p99 {})", format_duration(p99));
  return line;
}

std::string mode_line(const TopState& state) {
  std::string line = fmt::format("sort: {}  by {}", kSortNames[static_cast<int>(state.query.sort)],
                                 state.query.by_line ? "line" : "function");
  if (state.query.thread)
    line += fmt::format("  thread {} {}", state.query.thread->value, printable(state.thread_name));
  if (!state.query.filter.empty()) line += "  filter: " + printable(state.query.filter);
  line += fmt::format("  every {:g} s", state.refresh_seconds);
  if (state.paused) line += "  PAUSED";
  return line;
}

const std::string& columns_line() {
  static const std::string kLine = fmt::format("{:>12} {:>11} {:>6} {:>11} {:>8}  {}", "GROWTH/s",
                                               "OWN", "%", "CUMULATIVE", "SAMPLES", "FUNCTION");
  return kLine;
}

std::string row_line(const TopRow& row) {
  return fmt::format("{:>12} {:>11} {:>6.1f} {:>11} {:>8}  {}",
                     signed_text(row.now_bytes_per_second), format_signed_bytes(row.own_bytes),
                     row.percent, format_signed_bytes(row.cumulative_bytes), row.samples,
                     place_text(row.function, row.file, row.line));
}

std::vector<ScreenLine> head_lines(const TopModel& model, const TopHead& head,
                                   const TopState& state) {
  return {{title_line(head), LineStyle::kTitle},
          {memory_figures(model), LineStyle::kNormal},
          {growth_line(model), LineStyle::kNormal},
          {evidence_line(model, head), LineStyle::kDim},
          {mode_line(state), LineStyle::kDim}};
}

// The figures stand; what does not fit is cut out of the middle of the place. Width 0: all of it.
std::string worker_line(const WorkerRow& row, std::size_t width) {
  const std::string figures = fmt::format(
      "{:>8} {:>9} {:>11}  {:<15.15}", row.pid.value, bytes_text(row.rss_bytes),
      row.growth_per_minute ? signed_text(*row.growth_per_minute) : "-", printable(row.name));
  if (!row.top) return figures;
  const std::string place = place_text(row.top->function, row.top->file, row.top->line);
  const std::size_t used = report::display_width(figures) + 2;
  if (width <= used) return figures + "  " + place;
  return figures + "  " + report::clip_middle(place, width - used, /*ascii=*/false);
}

// Under the total; nothing where the total is that of one process.
std::vector<ScreenLine> worker_lines(const TopModel& model, bool by_line, std::size_t most,
                                     std::size_t width) {
  std::vector<ScreenLine> lines;
  if (!model.with_children() || model.process_count() < 2 || most == 0) return lines;
  lines.push_back({fmt::format("{:>8} {:>9} {:>11}  {:<15}  {}", "PID", "RSS", "GROWTH/min", "NAME",
                               "GROWS MOST"),
                   LineStyle::kColumns});
  const auto workers = model.workers(by_line);
  const std::size_t shown = std::min(workers.size(), most);
  for (std::size_t i = 0; i < shown; ++i)
    lines.push_back({worker_line(workers[i], width), workers[i].growth_per_minute.value_or(0) > 0
                                                         ? LineStyle::kHot
                                                         : LineStyle::kNormal});
  if (shown < workers.size())
    lines.push_back({more_workers(workers.size() - shown), LineStyle::kDim});
  return lines;
}

std::vector<ScreenLine> hottest_lines(const TopModel& model, const TopQuery& query) {
  std::vector<ScreenLine> lines;
  const auto frames = model.hottest_stack(query);
  if (frames.empty()) return lines;
  lines.push_back({"hottest stack:", LineStyle::kTitle});
  for (std::size_t i = 0; i < std::min(frames.size(), kHottestFrames); ++i)
    lines.push_back({"  " + place_text(frames[i].function, frames[i].file, frames[i].line)});
  if (frames.size() > kHottestFrames)
    lines.push_back({fmt::format("  … {} more", frames.size() - kHottestFrames), LineStyle::kDim});
  return lines;
}

std::string footer(const TopState& state) {
  if (state.editing_filter) return "filter: " + printable(state.filter_text) + "_";
  if (!state.message.empty()) return state.message;
  if (state.census && state.heap != nullptr && !state.census_progress.empty())
    return state.census_progress;
  if (!state.ended_by.empty()) return "ended: " + state.ended_by + " — q leaves";
  if (state.census)
    return "q quit  h Esc back  Enter look again  L types, owners  r reset growth  ↑ ↓ scroll";
  return "q quit  ? help  1-6 sort  space pause  r reset  / filter  t threads  L lines  h heap  w "
         "write";
}

constexpr std::array kHelp{
    "q Esc      quit, or back to the list of processes",
    "1 … 6      sort by growth/s, own, cumulative, samples, function, file;  s S  the next, the "
    "last",
    "Space p    pause the view; sampling goes on",
    "r          reset the baseline: growth counts from now",
    "/          show only what contains a text;  c  all again",
    "t          one thread at a time;  < >  the previous, the next",
    "L          by line, or by function",
    "+ -        refresh less often, more often",
    "↑ ↓        scroll the table",
    "h          the heap in place of the table;  Enter looks again,  L by type, by owner",
    "w          write a recording of what was seen",
    "?          this help",
};

Json row_json(const TopRow& row) {
  return {{"function", row.function},   {"file", row.file},
          {"line", row.line},           {"growth_bytes_per_second", row.now_bytes_per_second},
          {"own_bytes", row.own_bytes}, {"cumulative_bytes", row.cumulative_bytes},
          {"percent", row.percent},     {"samples", row.samples}};
}

template <typename T>
Json optional_json(const std::optional<T>& value) {
  return value ? Json(*value) : Json(nullptr);
}

Json whole_number(const std::optional<double>& value) {
  return value ? Json(std::llround(*value)) : Json(nullptr);
}

}  // namespace

std::string place_text(const std::string& function, const std::string& file, int line) {
  if (file.empty()) return printable(function);
  if (line == 0) return fmt::format("{} ({})", printable(function), printable(base_name(file)));
  return fmt::format("{} ({}:{})", printable(function), printable(base_name(file)), line);
}

Json workers_json(const TopModel& model, bool by_line) {
  Json list = Json::array();
  for (const WorkerRow& worker : model.workers(by_line)) {
    Json row = {{"pid", worker.pid.value},
                {"name", worker.name},
                {"rss_bytes", std::llround(worker.rss_bytes)},
                {"growth_bytes_per_minute", whole_number(worker.growth_per_minute)},
                {"top", nullptr}};
    if (worker.top)
      row["top"] = {{"function", worker.top->function},
                    {"file", worker.top->file},
                    {"line", worker.top->line},
                    {"own_bytes", worker.top->own_bytes},
                    {"growth_bytes_per_second", worker.top->now_bytes_per_second}};
    list.push_back(std::move(row));
  }
  return list;
}

std::string more_workers(std::size_t count) {
  return fmt::format("{:>8} {} more process{}", "…", count, count == 1 ? "" : "es");
}

std::vector<ScreenLine> top_screen(const TopModel& model, const TopHead& head,
                                   const TopState& state, std::size_t width, std::size_t height) {
  std::vector<ScreenLine> lines = head_lines(model, head, state);
  const bool census = state.census && !state.help;
  if (census) lines.pop_back();  // of a table that is not shown
  if (!state.help && !census) {
    const auto workers =
        worker_lines(model, state.query.by_line, std::min(kMostWorkers, height / 6), width);
    lines.insert(lines.end(), workers.begin(), workers.end());
  }
  const std::size_t body = height > lines.size() + 1 ? height - lines.size() - 1 : 0;
  std::vector<ScreenLine> below;
  if (state.help) {
    for (const char* text : kHelp) lines.push_back({text});
  } else if (census) {
    for (ScreenLine& line : census_lines(state, width, body)) lines.push_back(std::move(line));
  } else {
    lines.push_back({columns_line(), LineStyle::kColumns});
    below = hottest_lines(model, state.query);
    const std::size_t space = body > below.size() + 1 ? body - below.size() - 1 : 0;
    const auto rows = model.rows(state.query);
    const std::size_t from = std::min(state.scroll, rows.empty() ? 0 : rows.size() - 1);
    for (std::size_t i = from; i < rows.size() && i - from < space; ++i)
      lines.push_back({row_line(rows[i]),
                       rows[i].now_bytes_per_second > 0 ? LineStyle::kHot : LineStyle::kNormal});
    lines.resize(std::max(lines.size(), height > below.size() + 1 ? height - below.size() - 1 : 0));
    lines.insert(lines.end(), below.begin(), below.end());
  }
  lines.resize(height > 0 ? height - 1 : 0);
  lines.push_back({footer(state), LineStyle::kMessage});
  for (ScreenLine& line : lines) line.text = report::clip_middle(line.text, width, /*ascii=*/false);
  return lines;
}

std::string top_text(const TopModel& model, const TopHead& head, const TopState& state,
                     std::size_t rows) {
  std::string text;
  auto lines = head_lines(model, head, state);
  lines.pop_back();  // keys have no say in a batch
  const auto workers = worker_lines(model, state.query.by_line, rows, /*width=*/0);
  lines.insert(lines.end(), workers.begin(), workers.end());
  lines.push_back({columns_line()});
  auto table = model.rows(state.query);
  if (table.size() > rows) table.resize(rows);
  for (const TopRow& row : table) lines.push_back({row_line(row)});
  for (const ScreenLine& line : hottest_lines(model, state.query)) lines.push_back(line);
  for (const ScreenLine& line : lines) text += line.text + '\n';
  return text;
}

Json top_json(const TopModel& model, const TopHead& head, const TopState& state, std::size_t rows) {
  Json json = {{"schema", "memspy.top/1"},
               {"time_seconds", to_seconds(model.now())},
               {"pid", head.pid.value},
               {"command", head.command},
               {"python_version", head.python_version},
               {"engine", head.engine}};
  for (const C column : {C::kRssBytes, C::kPssBytes, C::kPeakRssBytes, C::kCgroupUsageBytes,
                         C::kCgroupLimitBytes, C::kSamples, C::kRejected})
    json[std::string(series_columns()[static_cast<std::size_t>(column)].name)] =
        whole_number(model.figure(column));
  json["stopped_seconds"] = optional_json(model.figure(C::kStoppedSeconds));
  json["growth_bytes_per_minute"] = whole_number(model.growth_per_minute());
  const auto left = model.time_to_limit();
  json["seconds_to_limit"] = left ? Json(left->count()) : Json(nullptr);
  json["unattributed_bytes"] = model.unattributed_bytes();
  if (model.with_children()) json["workers"] = workers_json(model, state.query.by_line);
  json["rows"] = Json::array();
  auto table = model.rows(state.query);
  if (table.size() > rows) table.resize(rows);
  for (const TopRow& row : table) json["rows"].push_back(row_json(row));
  json["hottest_stack"] = Json::array();
  for (const Frame& frame : model.hottest_stack(state.query))
    json["hottest_stack"].push_back(
        {{"function", frame.function}, {"file", frame.file}, {"line", frame.line}});
  return json;
}

std::vector<ScreenLine> process_screen(const std::vector<ProcessRow>& rows, std::size_t selected,
                                       const std::string& message, std::size_t width,
                                       std::size_t height) {
  std::vector<ScreenLine> lines{
      {fmt::format("memspy top  {} Python process{}", rows.size(), rows.size() == 1 ? "" : "es"),
       LineStyle::kTitle}};
  const auto table = process_table(rows, width);
  lines.push_back({table.front(), LineStyle::kColumns});
  const std::size_t space = height > 3 ? height - 3 : 0;
  const std::size_t from = selected >= space ? selected + 1 - space : 0;
  for (std::size_t i = from; i < rows.size() && i - from < space; ++i)
    lines.push_back({table[i + 1], i == selected ? LineStyle::kSelected : LineStyle::kNormal});
  lines.resize(height > 0 ? height - 1 : 0);
  lines.push_back(
      {message.empty() ? "↑ ↓ choose  Enter watch it  / filter  c clear  q quit" : message,
       LineStyle::kMessage});
  for (ScreenLine& line : lines) line.text = report::clip_middle(line.text, width, /*ascii=*/false);
  return lines;
}

Json process_list_json(const std::vector<ProcessRow>& rows) {
  Json json = {{"schema", "memspy.top/1"}, {"processes", Json::array()}};
  for (const ProcessRow& row : rows)
    json["processes"].push_back({{"pid", row.pid.value},
                                 {"user", row.user},
                                 {"python_version", row.version},
                                 {"rss_bytes", row.rss_bytes},
                                 {"pss_bytes", optional_json(row.pss_bytes)},
                                 {"growth_bytes_per_minute", whole_number(row.growth_per_minute)},
                                 {"container", row.container},
                                 {"command", row.command}});
  return json;
}

}  // namespace memspy::cli
