#include "cli/top_view.h"

#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "base/byte_units.h"
#include "base/duration.h"
#include "base/path.h"
#include "cli/process_list.h"
#include "report/display.h"

namespace memspy::cli {
namespace {

using C = SeriesColumn;
constexpr std::size_t kHeadSparkWidth = 40;
constexpr std::size_t kHottestFrames = 6;

// What a table of time says in the place of growth.
struct Words {
  std::string_view now_column, now_sort, worker_now_column, worker_column;
};
constexpr Words kGrowthWords{"GROWTH/s", "growth/s", "GROWTH/min", "GROWS MOST"};
constexpr Words kTimeWords{"CPU NOW", "CPU now", "CPU NOW", "ALLOCATES MOST"};

const Words& words_of(const TopModel& model) {
  return model.tells_time() ? kTimeWords : kGrowthWords;
}

constexpr std::array<std::string_view, 6> kSortNames{"",        "own",      "cumulative",
                                                     "samples", "function", "file"};

std::string_view sort_name(const TopModel& model, TopSort sort) {
  return sort == TopSort::kNow ? words_of(model).now_sort : kSortNames[static_cast<int>(sort)];
}

std::string bytes_text(const std::optional<double>& bytes) {
  return bytes ? format_bytes(static_cast<std::uint64_t>(std::max(*bytes, 0.0))) : "-";
}

std::string signed_text(double bytes) { return format_signed_bytes(std::llround(bytes)); }

// Bytes a second, or a share of a CPU.
std::string now_text(const TopModel& model, double now_per_second) {
  return model.tells_time() ? report::percent(cpu_share(now_per_second), 1)
                            : signed_text(now_per_second);
}

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
                     report::sparkline(model.rss_history(), kHeadSparkWidth, /*ascii=*/false));
}

std::string allocating_line(const TopModel& model) {
  const CpuTime time = model.cpu_time();
  return fmt::format("allocating {} of {} of CPU time in user mode",
                     report::percent(to_seconds(time.allocating), to_seconds(time.user)),
                     format_duration(time.user));
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

std::string mode_line(const TopModel& model, const TopState& state) {
  std::string line = fmt::format("sort: {}  by {}", sort_name(model, state.query.sort),
                                 state.query.by_line ? "line" : "function");
  if (state.query.thread)
    line += fmt::format("  thread {} {}", state.query.thread->value, printable(state.thread_name));
  if (!state.query.filter.empty()) line += "  filter: " + printable(state.query.filter);
  line += fmt::format("  every {:g} s", state.refresh_seconds);
  if (state.paused) line += "  PAUSED";
  return line;
}

std::string columns_line(const TopModel& model) {
  return fmt::format("{:>12} {:>11} {:>6} {:>11} {:>8}  {}", words_of(model).now_column, "OWN", "%",
                     "CUMULATIVE", "SAMPLES", "FUNCTION");
}

// The figures stand; what does not fit is cut out of the middle of the place. Width 0: all of it.
std::string with_place(const std::string& figures, const TopRow& row, std::size_t width) {
  const std::string place = place_text(row.function, row.file, row.line);
  const std::size_t used = report::display_width(figures) + 2;
  if (width <= used) return figures + "  " + place;
  return figures + "  " + report::clip_middle(place, width - used, /*ascii=*/false);
}

std::string row_line(const TopModel& model, const TopRow& row, std::size_t width) {
  const std::string figures = fmt::format(
      "{:>12} {:>11} {:>6.1f} {:>11} {:>8}", now_text(model, row.now_per_second),
      amount_text(model, row.own), row.percent, amount_text(model, row.cumulative), row.samples);
  return with_place(figures, row, width);
}

std::vector<ScreenLine> head_lines(const TopModel& model, const TopHead& head,
                                   const TopState& state) {
  std::vector<ScreenLine> lines{{title_line(head), LineStyle::kTitle},
                                {memory_figures(model), LineStyle::kNormal},
                                {growth_line(model), LineStyle::kNormal}};
  if (model.tells_time()) lines.push_back({allocating_line(model), LineStyle::kNormal});
  lines.push_back({evidence_line(model, head), LineStyle::kDim});
  lines.push_back({mode_line(model, state), LineStyle::kDim});
  return lines;
}

std::string worker_line(const TopModel& model, const WorkerRow& row, std::size_t width) {
  const std::string growth = row.growth_per_minute ? signed_text(*row.growth_per_minute) : "-";
  const std::string figures = fmt::format(
      "{:>8} {:>9} {:>11}  {:<15.15}", row.pid.value, bytes_text(row.rss_bytes),
      model.tells_time() ? now_text(model, row.now_per_second) : growth, printable(row.name));
  return row.top ? with_place(figures, *row.top, width) : figures;
}

// Under the total; nothing where the total is that of one process.
std::vector<ScreenLine> worker_lines(const TopModel& model, bool by_line, std::size_t most,
                                     std::size_t width) {
  std::vector<ScreenLine> lines;
  if (!model.with_children() || model.process_count() < 2 || most == 0) return lines;
  const Words& words = words_of(model);
  lines.push_back({fmt::format("{:>8} {:>9} {:>11}  {:<15}  {}", "PID", "RSS",
                               words.worker_now_column, "NAME", words.worker_column),
                   LineStyle::kColumns});
  const auto workers = model.workers(by_line);
  const std::size_t shown = std::min(workers.size(), most);
  for (std::size_t i = 0; i < shown; ++i) {
    const WorkerRow& row = workers[i];
    const double now = model.tells_time() ? row.now_per_second : row.growth_per_minute.value_or(0);
    lines.push_back(
        {worker_line(model, row, width), now > 0 ? LineStyle::kHot : LineStyle::kNormal});
  }
  if (shown < workers.size())
    lines.push_back({more_workers(workers.size() - shown), LineStyle::kDim});
  return lines;
}

std::vector<ScreenLine> hottest_lines(const TopModel& model, const TopQuery& query) {
  std::vector<ScreenLine> lines;
  const auto frames = model.hottest_stack(query);
  if (frames.empty()) return lines;
  const auto show = [&](const Frame& frame) {
    lines.push_back({"  " + place_text(frame.function, frame.file, frame.line)});
  };
  const auto more = [&](std::size_t count, const char* what) {
    if (count > 0) lines.push_back({fmt::format("  … {} {}", count, what), LineStyle::kDim});
  };
  lines.push_back({"hottest stack:", LineStyle::kTitle});
  const auto line = std::find_if(frames.begin(), frames.end(), [](const Frame& frame) {
    return frame.kind != FrameKind::kNative;
  });
  const auto native = static_cast<std::size_t>(line - frames.begin());
  // Below much native code the line that called it is what one looks for.
  const bool far = native >= kHottestFrames && native < frames.size();
  const std::size_t shown = std::min(frames.size(), far ? kHottestFrames - 1 : kHottestFrames);
  for (std::size_t i = 0; i < shown; ++i) show(frames[i]);
  if (far) {
    more(native - shown, "more of native code");
    show(*line);
  }
  more(frames.size() - (far ? native + 1 : shown), "more");
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
    "Space p    pause the view; sampling goes on",
    "r          reset the baseline: figures count from now",
    "/          show only what contains a text;  c  all again",
    "t          one thread at a time;  < >  the previous, the next",
    "L          by line, or by function",
    "+ -        refresh less often, more often",
    "↑ ↓        scroll the table",
    "h          the heap in place of the table;  Enter looks again,  L by type, by owner",
    "w          write a recording of what was seen",
    "?          this help",
};

std::vector<ScreenLine> help_lines(const TopModel& model) {
  std::vector<ScreenLine> lines{
      {"q Esc      quit, or back to the list of processes"},
      {fmt::format("1 … 6      sort by {}, own, cumulative, samples, function, file;  s S  the "
                   "next, the last",
                   words_of(model).now_sort)}};
  for (const char* text : kHelp) lines.push_back({text});
  return lines;
}

}  // namespace

std::string amount_text(const TopModel& model, std::int64_t amount) {
  if (!model.tells_time()) return format_signed_bytes(amount);
  return recording::format_amount(model.measure(),
                                  static_cast<std::uint64_t>(std::max<std::int64_t>(amount, 0)));
}

std::string place_text(const std::string& function, const std::string& file, int line) {
  if (file.empty()) return printable(function);
  if (line == 0) return fmt::format("{} ({})", printable(function), printable(base_name(file)));
  return fmt::format("{} ({}:{})", printable(function), printable(base_name(file)), line);
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
    for (ScreenLine& line : help_lines(model)) lines.push_back(std::move(line));
  } else if (census) {
    for (ScreenLine& line : census_lines(state, width, body)) lines.push_back(std::move(line));
  } else {
    lines.push_back({columns_line(model), LineStyle::kColumns});
    below = hottest_lines(model, state.query);
    const std::size_t space = body > below.size() + 1 ? body - below.size() - 1 : 0;
    const auto rows = model.rows(state.query);
    const std::size_t from = std::min(state.scroll, rows.empty() ? 0 : rows.size() - 1);
    for (std::size_t i = from; i < rows.size() && i - from < space; ++i)
      lines.push_back({row_line(model, rows[i], width),
                       rows[i].now_per_second > 0 ? LineStyle::kHot : LineStyle::kNormal});
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
  lines.push_back({columns_line(model)});
  auto table = model.rows(state.query);
  if (table.size() > rows) table.resize(rows);
  for (const TopRow& row : table) lines.push_back({row_line(model, row, /*width=*/0)});
  for (const ScreenLine& line : hottest_lines(model, state.query)) lines.push_back(line);
  for (const ScreenLine& line : lines) text += line.text + '\n';
  return text;
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

}  // namespace memspy::cli
