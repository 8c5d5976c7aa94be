#include "report/snapshot_diff.h"

#include <algorithm>
#include <cmath>

#include <spdlog/fmt/fmt.h>

#include "base/byte_units.h"
#include "base/digits.h"
#include "recording/summary_json.h"
#include "recording/text.h"
#include "report/cells.h"
#include "report/heap_text.h"
#include "report/text_table.h"

namespace memspy::report {
namespace {

using nlohmann::ordered_json;
using recording::escape_text;
using snapshot::GrowthRow;
using snapshot::Look;
using snapshot::SnapshotDiff;

std::string growth_table(const std::vector<GrowthRow>& rows, std::size_t looks,
                         const SnapshotDiffOptions& options, bool timed, const char* what) {
  std::vector<TextTable::Column> columns;
  for (std::size_t i = 0; i < looks; ++i) columns.push_back({letter(i)});
  columns.push_back({"grown"});
  if (timed) columns.push_back({"rate"});
  columns.push_back({"objects"});
  columns.push_back({"new and alive"});
  columns.push_back({"in all"});
  columns.push_back({what, Align::kLeft});
  TextTable table(std::move(columns));
  std::size_t shown = 0;
  for (const GrowthRow& row : rows) {
    if (row.grown_bytes == 0 && row.grown_count == 0) continue;
    if (options.limit != 0 && shown >= options.limit) break;
    ++shown;
    std::vector<std::string> cells;
    for (const std::uint64_t bytes : row.bytes) cells.push_back(format_bytes(bytes));
    cells.push_back(format_signed_bytes(row.grown_bytes));
    if (timed) cells.push_back(signed_rate_text(recording::Measure::kBytes, row.bytes_per_minute));
    cells.push_back(signed_count(row.grown_count));
    cells.push_back(grouped_digits(row.new_and_alive));
    cells.emplace_back(row.grew_every_time ? "yes" : "");
    cells.push_back(escape_text(row.name));
    table.add(std::move(cells));
  }
  return table.empty() ? "nothing grew or shrank\n" : table.render(options.style);
}

ordered_json rows_json(const std::vector<GrowthRow>& rows, const char* key) {
  auto list = ordered_json::array();
  for (const GrowthRow& row : rows)
    list.push_back({{key, row.name},
                    {"counts", row.counts},
                    {"bytes", row.bytes},
                    {"grown_count", row.grown_count},
                    {"grown_bytes", row.grown_bytes},
                    {"bytes_per_minute", row.bytes_per_minute},
                    {"grew_every_time", row.grew_every_time},
                    {"new_and_alive", row.new_and_alive}});
  return list;
}

}  // namespace

std::string snapshot_diff_text(std::span<const Look> looks, std::span<const std::string> names,
                               const SnapshotDiff& diff, const SnapshotDiffOptions& options,
                               std::string_view verdict) {
  std::string text;
  for (std::size_t i = 0; i < looks.size(); ++i) {
    const auto& snapshot = *looks[i].snapshot;
    text +=
        fmt::format("{} {}: {}, {} objects, {}", letter(i), names[i],
                    snapshot_title(snapshot.header), grouped_digits(snapshot.graph.node_count()),
                    format_bytes(heap_bytes(looks[i].snapshot->graph)));
    if (snapshot.header.rss_bytes > 0) text += ", RSS " + format_bytes(snapshot.header.rss_bytes);
    text += "\n";
  }
  text += diff.same_process
              ? fmt::format("{} new objects ({}), {} gone ({})\n", grouped_digits(diff.new_count),
                            format_bytes(diff.new_bytes), grouped_digits(diff.gone_count),
                            format_bytes(diff.gone_bytes))
              : "not the same process: its objects are not compared one by one\n";
  text += "\n";
  const bool timed = diff.minutes > 0;
  if (!options.by_owner) text += growth_table(diff.types, looks.size(), options, timed, "type");
  if (options.by_owner == options.by_type) text += "\n";
  if (!options.by_type) text += growth_table(diff.owners, looks.size(), options, timed, "owner");
  return text + "\n" + bold(options.style, escape_text(verdict)) + "\n";
}

std::string snapshot_diff_json(std::span<const Look> looks, std::span<const std::string> names,
                               const SnapshotDiff& diff, std::string_view verdict,
                               const std::optional<AskedCondition>& asked) {
  ordered_json document;
  document["schema"] = "memspy.snapshot-diff/1";
  document["verdict"] = verdict;
  if (asked)
    document["fail_on"] = {
        {"condition", asked->condition}, {"value", asked->value}, {"met", asked->met}};
  auto snapshots = ordered_json::array();
  for (std::size_t i = 0; i < looks.size(); ++i) {
    ordered_json entry{{"file", names[i]}};
    add_snapshot_head(looks[i].snapshot->header, entry);
    entry["objects"] = looks[i].snapshot->graph.node_count();
    entry["bytes"] = heap_bytes(looks[i].snapshot->graph);
    snapshots.push_back(std::move(entry));
  }
  document["snapshots"] = std::move(snapshots);
  document["minutes"] = diff.minutes;
  document["new"] = {{"count", diff.new_count}, {"bytes", diff.new_bytes}};
  document["gone"] = {{"count", diff.gone_count}, {"bytes", diff.gone_bytes}};
  document["types"] = rows_json(diff.types, "type");
  document["owners"] = rows_json(diff.owners, "owner");
  return recording::json_text(document);
}

}  // namespace memspy::report
