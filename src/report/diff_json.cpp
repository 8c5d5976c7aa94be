#include "base/duration.h"
#include "recording/summary_json.h"
#include "report/diff_parts.h"

namespace memspy::report {
namespace {

using nlohmann::ordered_json;

// What the fields are called, by what is measured.
struct Names {
  std::string unit;
  const char* per;  // what rates are per
  const char* in_every;
};

Names names_of(recording::Measure measure) {
  const char* unit = recording::unit_name(measure);
  if (measure == recording::Measure::kBytes) return {unit, "_per_minute", "grew_in_every"};
  return {unit, "_per_cpu_second", "more_in_each"};
}

void add_run_growth(ordered_json& json, const RunFigures& f) {
  json["growth_bytes"] = f.growth_bytes;
  json["attributed_bytes"] = f.attributed_bytes;
  json["unattributed_bytes"] = f.unattributed_bytes;
  json["shrink_bytes"] = f.shrink_bytes;
  json["growth_bytes_per_minute"] =
      f.minutes() > 0 ? static_cast<double>(f.growth_bytes) / f.minutes() : 0;
}

void add_run_time(ordered_json& json, const RunFigures& f) {
  const double whole = to_seconds(f.user_cpu);
  json["clock_ticks"] = f.ticks;
  json["user_cpu_microseconds"] = f.user_cpu.count() / 1000;
  json["allocating_microseconds"] = f.allocating.count() / 1000;
  json["allocating_share"] = whole > 0 ? to_seconds(f.allocating) / whole : 0;
}

ordered_json recording_json(const Diff::Recording& recording, recording::Measure measure) {
  const auto& f = recording.figures;
  ordered_json json = {{"name", recording.name},
                       {"title", recording.title},
                       {"loss", recording.loss},
                       {"duration_seconds", to_seconds(f.duration)}};
  measure == recording::Measure::kBytes ? add_run_growth(json, f) : add_run_time(json, f);
  return json;
}

ordered_json row_json(const DiffRow& row, const Names& names, bool time) {
  auto cells = ordered_json::array();
  for (const auto& cell : row.cells)
    cells.push_back({{"own_" + names.unit, cell.own},
                     {"cumulative_" + names.unit, cell.cumulative},
                     {names.unit + names.per, cell.rate}});
  ordered_json json = {{"name", row.name},
                       {"function", row.function},
                       {"file", row.file},
                       {"line", row.line},
                       {"delta_" + names.unit, row.delta},
                       {"delta_" + names.unit + names.per, row.delta_rate},
                       {names.in_every, row.in_every}};
  if (time) {
    json["standard_error_" + names.unit + names.per] = row.standard_error();
    json["clear"] = row.clear;
  }
  json["recordings"] = std::move(cells);
  return json;
}

}  // namespace

std::string diff_json(const Diff& diff, const std::optional<AskedCondition>& asked) {
  const bool time = diff.measure == recording::Measure::kMicroseconds;
  const Names names = names_of(diff.measure);
  ordered_json document;
  document["schema"] = "memspy.diff/1";
  document["by"] = group_name(diff.by);
  document["unit"] = names.unit;
  document["verdict"] = diff_verdict(diff);
  if (time) document["advice"] = diff_advice(diff);
  if (asked)
    document["fail_on"] = {
        {"condition", asked->condition}, {"value", asked->value}, {"met", asked->met}};
  auto recordings = ordered_json::array();
  for (const auto& recording : diff.recordings)
    recordings.push_back(recording_json(recording, diff.measure));
  document["recordings"] = std::move(recordings);
  auto every = ordered_json::array();
  for (const auto* row : rows_in_every(diff)) every.push_back(row->name);
  document[names.in_every] = std::move(every);
  auto rows = ordered_json::array();
  for (const auto& row : diff.rows) rows.push_back(row_json(row, names, time));
  document["rows"] = std::move(rows);
  return recording::json_text(document);
}

}  // namespace memspy::report
