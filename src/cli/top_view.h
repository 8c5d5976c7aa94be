// The screen of `top` as lines of text: a pure function of the model, the state of the keys and the
// size. What draws the lines is behind TopScreen.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "cli/json_text.h"
#include "cli/process_facts.h"
#include "cli/process_row.h"
#include "cli/top_model.h"

namespace memspy::cli {

struct TopCensus;  // cli/top_census.h

// Told of one by one under a status line; on a screen, up to a sixth of its height.
inline constexpr std::size_t kMostWorkers = 8;

enum class LineStyle : std::uint8_t { kNormal, kTitle, kColumns, kSelected, kHot, kDim, kMessage };

struct ScreenLine {
  std::string text;  // UTF-8, as wide as it is; cut by the view
  LineStyle style = LineStyle::kNormal;
};

// What the keys have set, besides the query.
struct TopState {
  TopQuery query;
  bool paused = false;
  bool help = false;
  bool editing_filter = false;
  std::string filter_text;  // while it is typed
  std::string thread_name;  // of query.thread
  std::string message;      // the last answer to a key; "" for none
  std::string ended_by;     // the target is gone; the last screen stays
  std::size_t scroll = 0;
  double refresh_seconds = 1;
  // The heap in place of the table.
  bool census = false;
  bool census_by_owner = false;
  std::string census_progress;            // of one under way; "" for none
  std::shared_ptr<const TopCensus> heap;  // the newest
};

struct TopHead {
  Pid pid;
  std::string command, python_version, engine;
  std::chrono::nanoseconds uptime{};     // of the process; 0 when not known
  std::chrono::nanoseconds pause_p99{};  // of the stops so far; 0 without any
};

std::vector<ScreenLine> top_screen(const TopModel& model, const TopHead& head,
                                   const TopState& state, std::size_t width, std::size_t height);
// The same as plain text for --batch: header, table of `rows` rows, hottest stack.
std::string top_text(const TopModel& model, const TopHead& head, const TopState& state,
                     std::size_t rows);
Json top_json(const TopModel& model, const TopHead& head, const TopState& state, std::size_t rows);

// Facts, rows and verdict of the census, or how far it is; of at most `height` lines.
std::vector<ScreenLine> census_lines(const TopState& state, std::size_t width, std::size_t height);

std::vector<ScreenLine> process_screen(const std::vector<ProcessRow>& rows, std::size_t selected,
                                       const std::string& message, std::size_t width,
                                       std::size_t height);
Json process_list_json(const std::vector<ProcessRow>& rows);

// Each process of a run with -s, the target among them; top and attach share it.
Json workers_json(const TopModel& model, bool by_line);
// Where a row is, its own amount and what of it is now, each with its unit in its name.
Json own_json(const TopModel& model, const TopRow& row);
// Of CPU time in user mode, allocating; null without any.
Json allocating_share_json(const TopModel& model);
// "… 12 more processes"
std::string more_workers(std::size_t count);

// "+3.0 MiB", in mode alloc "12.3 ms": what a row has been charged with.
std::string amount_text(const TopModel& model, std::int64_t amount);

// `function (file.py:LINE)`, with the last part of the path.
std::string place_text(const std::string& function, const std::string& file, int line);

}  // namespace memspy::cli
