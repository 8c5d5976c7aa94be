#include <cmath>
#include <map>

#include "sinks/page_columns.h"
#include "sinks/page_run.h"

namespace memspy::sinks {
namespace {

using Points = std::vector<const SeriesPoint*>;

// Columns that are not counts are told in thousandths.
constexpr double kPerMille = 1000;
constexpr double kLargest = 9.0e15;  // what a double holds exactly

std::int64_t whole(double value) {
  if (!(std::abs(value) < kLargest)) return 0;
  return std::llround(value);
}

bool measured(const Points& points, SeriesColumn column) {
  for (const auto* point : points)
    if ((*point)[column].has_value()) return true;
  return false;
}

std::string columns(const Points& points) {
  PageObject object;
  std::vector<std::optional<std::int64_t>> values;
  for (const auto& info : series_columns()) {
    if (!measured(points, info.column)) continue;
    values.clear();
    for (const auto* point : points) {
      const auto& value = (*point)[info.column];
      values.push_back(value ? std::optional(whole(*value * (info.integral ? 1 : kPerMille)))
                             : std::nullopt);
    }
    object.add_steps(info.name, values);
  }
  return std::move(object).take();
}

std::string thousandths() {
  std::string names = "[";
  for (const auto& info : series_columns()) {
    if (info.integral) continue;
    if (names.size() > 1) names += ',';
    names.append("\"").append(info.name).append("\"");
  }
  return names + "]";
}

}  // namespace

std::string page_series(const recording::Profile& profile) {
  std::map<std::uint32_t, Points> of_process;
  for (const auto& point : profile.points) of_process[point.process.value].push_back(&point);
  std::string list = "[";
  for (const auto& [process, points] : of_process) {
    std::vector<std::int64_t> microseconds;
    for (const auto* point : points) microseconds.push_back(point->time.count() / 1000);
    PageObject object;
    object.add_json("process", std::to_string(process));
    object.add_steps("microseconds", microseconds);
    object.add_json("thousandths", thousandths());
    object.add_json("columns", columns(points));
    if (list.size() > 1) list += ",\n";
    list += std::move(object).take();
  }
  return list + "]";
}

}  // namespace memspy::sinks
