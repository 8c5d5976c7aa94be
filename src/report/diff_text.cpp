#include <algorithm>
#include <cmath>

#include <spdlog/fmt/fmt.h>

#include "base/byte_units.h"
#include "base/duration.h"
#include "recording/summary_json.h"
#include "recording/text.h"
#include "report/diff.h"
#include "report/text_table.h"

namespace memspy::report {
namespace {

using nlohmann::ordered_json;

constexpr double kWorthAWord = 64 << 10;  // bytes per minute

std::string letter(std::size_t recording) {
  return recording < 26 ? std::string(1, static_cast<char>('A' + recording))
                        : fmt::format("#{}", recording + 1);
}

std::string rate(double bytes_per_minute) {
  return format_bytes(static_cast<std::uint64_t>(std::abs(bytes_per_minute))) + "/min";
}

std::string signed_rate(double bytes_per_minute) {
  return format_signed_bytes(static_cast<std::int64_t>(bytes_per_minute)) + "/min";
}

std::vector<const DiffRow*> grew_in_every(const Diff& diff) {
  std::vector<const DiffRow*> rows;
  for (const auto& row : diff.rows) {
    if (row.grew_in_every) rows.push_back(&row);
  }
  const auto least = [](const DiffRow* row) {
    double rate = row->cells.front().bytes_per_minute;
    for (const auto& cell : row->cells) rate = std::min(rate, cell.bytes_per_minute);
    return rate;
  };
  std::stable_sort(rows.begin(), rows.end(), [&](auto* a, auto* b) { return least(a) > least(b); });
  return rows;
}

ordered_json recording_json(const Diff::Recording& recording) {
  const auto& f = recording.figures;
  return {{"name", recording.name},
          {"title", recording.title},
          {"loss", recording.loss},
          {"duration_seconds", to_seconds(f.duration)},
          {"growth_bytes", f.growth_bytes},
          {"attributed_bytes", f.attributed_bytes},
          {"unattributed_bytes", f.unattributed_bytes},
          {"shrink_bytes", f.shrink_bytes},
          {"growth_bytes_per_minute",
           f.minutes() > 0 ? static_cast<double>(f.growth_bytes) / f.minutes() : 0}};
}

ordered_json row_json(const DiffRow& row) {
  auto cells = ordered_json::array();
  for (const auto& cell : row.cells) {
    cells.push_back({{"own_bytes", cell.own_bytes},
                     {"cumulative_bytes", cell.cumulative_bytes},
                     {"bytes_per_minute", cell.bytes_per_minute}});
  }
  return {{"name", row.name},
          {"function", row.function},
          {"file", row.file},
          {"line", row.line},
          {"delta_bytes", row.delta_bytes},
          {"delta_bytes_per_minute", row.delta_bytes_per_minute},
          {"grew_in_every", row.grew_in_every},
          {"recordings", std::move(cells)}};
}

}  // namespace

std::string diff_verdict(const Diff& diff) {
  const DiffRow* worse = nullptr;
  const DiffRow* better = nullptr;
  for (const auto& row : diff.rows) {
    if (worse == nullptr && row.delta_bytes_per_minute >= kWorthAWord) worse = &row;
    if (better == nullptr && row.delta_bytes_per_minute <= -kWorthAWord) better = &row;
  }
  std::string text;
  if (worse != nullptr) {
    text = fmt::format(
        "{} grows faster in {}: {}, from {} to {}", recording::escape_text(worse->name),
        letter(diff.recordings.size() - 1), signed_rate(worse->delta_bytes_per_minute),
        rate(worse->cells.front().bytes_per_minute), rate(worse->cells.back().bytes_per_minute));
  } else {
    text = "nothing grows faster in " + letter(diff.recordings.size() - 1);
  }
  if (better != nullptr) {
    text += fmt::format("; {} grows slower: {}", recording::escape_text(better->name),
                        signed_rate(better->delta_bytes_per_minute));
  }
  const auto steady = grew_in_every(diff);
  if (!steady.empty()) {
    text += fmt::format("; {} grew in every recording, {} fastest", steady.size(),
                        recording::escape_text(steady.front()->name));
  }
  return text;
}

std::string diff_text(const Diff& diff, const Style& style, std::size_t limit) {
  std::string text;
  for (const auto& recording : diff.recordings) {
    if (!recording.loss.empty()) {
      text += warning(style, fmt::format("{}: {}", recording.name, recording.loss)) + "\n";
    }
  }
  std::vector<TextTable::Column> columns;
  for (std::size_t i = 0; i < diff.recordings.size(); ++i) {
    const auto& recording = diff.recordings[i];
    const auto& f = recording.figures;
    text += fmt::format("{} {}: {}, growth {}\n", letter(i), recording.name, recording.title,
                        format_bytes(f.growth_bytes));
    columns.push_back({letter(i)});
    columns.push_back({letter(i) + " rate"});
  }
  text += bold(style, diff_verdict(diff)) + "\n\n";
  columns.push_back({"change"});
  columns.push_back({"change of rate"});
  columns.push_back({"in all"});
  columns.push_back({std::string(group_name(diff.by)), Align::kLeft});
  TextTable table(std::move(columns));
  std::size_t shown = 0;
  for (const auto& row : diff.rows) {
    if (limit != 0 && shown >= limit) break;
    ++shown;
    std::vector<std::string> cells;
    for (const auto& cell : row.cells) {
      cells.push_back(format_bytes(cell.own_bytes));
      cells.push_back(rate(cell.bytes_per_minute));
    }
    cells.push_back(format_signed_bytes(row.delta_bytes));
    cells.push_back(signed_rate(row.delta_bytes_per_minute));
    cells.emplace_back(row.grew_in_every ? "yes" : "");
    cells.push_back(recording::escape_text(row.name));
    table.add(std::move(cells));
  }
  text += table.empty() ? "nothing grew in any of them\n" : table.render(style);
  if (shown < diff.rows.size())
    text += dim(style, fmt::format("and {} more", diff.rows.size() - shown)) + "\n";
  return text;
}

std::string diff_json(const Diff& diff) {
  ordered_json document;
  document["schema"] = "memspy.diff/1";
  document["by"] = group_name(diff.by);
  document["verdict"] = diff_verdict(diff);
  auto recordings = ordered_json::array();
  for (const auto& recording : diff.recordings) recordings.push_back(recording_json(recording));
  document["recordings"] = std::move(recordings);
  auto every = ordered_json::array();
  for (const auto* row : grew_in_every(diff)) every.push_back(row->name);
  document["grew_in_every"] = std::move(every);
  auto rows = ordered_json::array();
  for (const auto& row : diff.rows) rows.push_back(row_json(row));
  document["rows"] = std::move(rows);
  return recording::json_text(document);
}

}  // namespace memspy::report
