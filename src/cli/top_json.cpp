// `top --json`: what the screen shows, for scripts.
#include <cmath>

#include "base/duration.h"
#include "cli/top_view.h"

namespace memspy::cli {
namespace {

using C = SeriesColumn;

std::string with_unit(const char* what, const TopModel& model) {
  return what + std::string("_") + recording::unit_name(model.measure());
}

void add_now(const TopModel& model, double now_per_second, Json& json) {
  if (model.tells_time()) {
    json["now_cpu_share"] = cpu_share(now_per_second);
  } else {
    json["growth_bytes_per_second"] = now_per_second;
  }
}

// Of native code with its module.
Json frame_json(const std::string& function, const std::string& file, int line,
                const std::string& module) {
  Json json = {{"function", function}, {"file", file}, {"line", line}};
  if (!module.empty()) json["module"] = module;
  return json;
}

Json row_json(const TopModel& model, const TopRow& row) {
  Json json = frame_json(row.function, row.file, row.line, row.module);
  add_now(model, row.now_per_second, json);
  json[with_unit("own", model)] = row.own;
  json[with_unit("cumulative", model)] = row.cumulative;
  json["percent"] = row.percent;
  json["samples"] = row.samples;
  return json;
}

template <typename T>
Json optional_json(const std::optional<T>& value) {
  return value ? Json(*value) : Json(nullptr);
}

Json whole_number(const std::optional<double>& value) {
  return value ? Json(std::llround(*value)) : Json(nullptr);
}

}  // namespace

Json own_json(const TopModel& model, const TopRow& row) {
  Json json = frame_json(row.function, row.file, row.line, row.module);
  json[with_unit("own", model)] = row.own;
  add_now(model, row.now_per_second, json);
  return json;
}

Json allocating_share_json(const TopModel& model) {
  const CpuTime time = model.cpu_time();
  if (time.user.count() <= 0) return nullptr;
  return to_seconds(time.allocating) / to_seconds(time.user);
}

Json workers_json(const TopModel& model, bool by_line) {
  Json list = Json::array();
  for (const WorkerRow& worker : model.workers(by_line)) {
    Json row = {{"pid", worker.pid.value},
                {"name", worker.name},
                {"rss_bytes", std::llround(worker.rss_bytes)},
                {"growth_bytes_per_minute", whole_number(worker.growth_per_minute)}};
    if (model.tells_time()) add_now(model, worker.now_per_second, row);
    row["top"] = worker.top ? own_json(model, *worker.top) : Json(nullptr);
    list.push_back(std::move(row));
  }
  return list;
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
  if (model.tells_time()) {
    json["allocating_share"] = allocating_share_json(model);
  } else {
    json["unattributed_bytes"] = model.unattributed_bytes();
  }
  if (model.with_children()) json["workers"] = workers_json(model, state.query.by_line);
  json["rows"] = Json::array();
  auto table = model.rows(state.query);
  if (table.size() > rows) table.resize(rows);
  for (const TopRow& row : table) json["rows"].push_back(row_json(model, row));
  json["hottest_stack"] = Json::array();
  for (const Frame& frame : model.hottest_stack(state.query))
    json["hottest_stack"].push_back(
        frame_json(frame.function, frame.file, frame.line, frame.code.module));
  return json;
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
