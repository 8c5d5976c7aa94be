#include <algorithm>
#include <cmath>

#include <spdlog/fmt/fmt.h>

#include "base/byte_units.h"
#include "base/duration.h"
#include "recording/text.h"
#include "report/cells.h"
#include "report/diff_parts.h"
#include "report/text_table.h"

namespace memspy::report {

const DiffRow* most_changed(const Diff& diff, bool up) {
  for (const auto& row : diff.rows)
    if (row.clear && (row.delta_rate > 0) == up) return &row;
  return nullptr;
}

std::vector<const DiffRow*> rows_in_every(const Diff& diff) {
  std::vector<const DiffRow*> rows;
  for (const auto& row : diff.rows) {
    if (row.in_every) rows.push_back(&row);
  }
  const auto least = [](const DiffRow* row) {
    double rate = row->cells.front().rate;
    for (const auto& cell : row->cells) rate = std::min(rate, cell.rate);
    return rate;
  };
  std::stable_sort(rows.begin(), rows.end(), [&](auto* a, auto* b) { return least(a) > least(b); });
  return rows;
}

namespace {

// "growth 86.0 MiB", "allocating 138.5 ms, 10 % of 1.3 s of CPU time in user mode".
std::string whole_text(const RunFigures& f) {
  if (f.measure == recording::Measure::kBytes) return "growth " + format_bytes(f.growth_bytes);
  return fmt::format(
      "allocating {}, {} of {} of CPU time in user mode", format_duration(f.allocating),
      percent(to_seconds(f.allocating), to_seconds(f.user_cpu)), format_duration(f.user_cpu));
}

std::string growth_verdict(const Diff& diff) {
  const DiffRow* worse = most_changed(diff, /*up=*/true);
  const DiffRow* better = most_changed(diff, /*up=*/false);
  const auto rate = [&](const DiffCell& cell) { return rate_text(diff.measure, cell.rate); };
  const std::string last = letter(diff.recordings.size() - 1);
  std::string text = "nothing grows faster in " + last;
  if (worse != nullptr)
    text =
        fmt::format("{} grows faster in {}: {}, from {} to {}", recording::escape_text(worse->name),
                    last, signed_rate_text(diff.measure, worse->delta_rate),
                    rate(worse->cells.front()), rate(worse->cells.back()));
  if (better != nullptr)
    text += fmt::format("; {} grows slower: {}", recording::escape_text(better->name),
                        signed_rate_text(diff.measure, better->delta_rate));
  const auto steady = rows_in_every(diff);
  if (!steady.empty())
    text += fmt::format("; {} grew in every recording, {} fastest", steady.size(),
                        recording::escape_text(steady.front()->name));
  return text;
}

// Of mode alloc the column is only told apart from the change where there are more than two.
bool shows_in_every(const Diff& diff) {
  return diff.measure == recording::Measure::kBytes || diff.recordings.size() > 2;
}

TextTable table_of(const Diff& diff) {
  std::vector<TextTable::Column> columns;
  for (std::size_t i = 0; i < diff.recordings.size(); ++i) {
    columns.push_back({letter(i)});
    columns.push_back({letter(i) + " rate"});
  }
  columns.push_back({"change"});
  columns.push_back({"change of rate"});
  if (shows_in_every(diff))
    columns.push_back({diff.measure == recording::Measure::kBytes ? "in all" : "each more"});
  columns.push_back({std::string(group_name(diff.by)), Align::kLeft});
  return TextTable(std::move(columns));
}

std::vector<std::string> cells_of(const DiffRow& row, const Diff& diff) {
  std::vector<std::string> cells;
  for (const auto& cell : row.cells) {
    cells.push_back(recording::format_amount(diff.measure, cell.own));
    cells.push_back(rate_text(diff.measure, cell.rate));
  }
  cells.push_back(recording::format_signed_amount(diff.measure, row.delta));
  cells.push_back(signed_rate_text(diff.measure, row.delta_rate));
  if (shows_in_every(diff)) cells.emplace_back(row.in_every ? "yes" : "");
  cells.push_back(recording::escape_text(row.name));
  return cells;
}

}  // namespace

std::string diff_verdict(const Diff& diff) {
  return diff.measure == recording::Measure::kBytes ? growth_verdict(diff)
                                                    : time_diff_verdict(diff);
}

std::string diff_advice(const Diff& diff) {
  return diff.measure == recording::Measure::kBytes ? "" : time_diff_advice(diff);
}

std::string diff_text(const Diff& diff, const Style& style, std::size_t limit) {
  const bool time = diff.measure == recording::Measure::kMicroseconds;
  std::string text;
  for (const auto& recording : diff.recordings) {
    if (!recording.loss.empty()) {
      text += warning(style, fmt::format("{}: {}", recording.name, recording.loss)) + "\n";
    }
  }
  for (std::size_t i = 0; i < diff.recordings.size(); ++i) {
    const auto& recording = diff.recordings[i];
    text += fmt::format("{} {}: {}, {}\n", letter(i), recording.name, recording.title,
                        whole_text(recording.figures));
  }
  text += bold(style, diff_verdict(diff)) + "\n\n";
  TextTable table = table_of(diff);
  std::size_t shown = 0;
  for (const auto& row : diff.rows) {
    if (limit != 0 && shown >= limit) break;
    ++shown;
    table.add(cells_of(row, diff));
  }
  const char* nothing =
      time ? "nothing was allocated in any of them\n" : "nothing grew in any of them\n";
  text += table.empty() ? nothing : table.render(style);
  if (shown < diff.rows.size())
    text += dim(style, fmt::format("and {} more", diff.rows.size() - shown)) + "\n";
  if (time) text += "\n" + diff_advice(diff) + "\n";
  return text;
}

}  // namespace memspy::report
