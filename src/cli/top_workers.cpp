// What TopModel knows of each process of several.
#include <algorithm>

#include "cli/top_model.h"

namespace memspy::cli {
namespace {

// What grows now; when nothing does, what has grown most.
std::optional<TopRow> hottest(const std::map<std::pair<std::string, int>, TopRow>& rows) {
  const TopRow* now = nullptr;
  const TopRow* own = nullptr;
  for (const auto& [key, row] : rows) {
    if (now == nullptr || row.now_bytes_per_second > now->now_bytes_per_second) now = &row;
    if (own == nullptr || row.own_bytes > own->own_bytes) own = &row;
  }
  if (now != nullptr && now->now_bytes_per_second > 0) return *now;
  if (own != nullptr && own->own_bytes > 0) return *own;
  return std::nullopt;
}

}  // namespace

std::map<ProcessIndex, TopModel::Rows> TopModel::rows_by_process(bool by_line) const {
  std::map<ProcessIndex, Rows> tables;
  const auto rates = now_rates();
  for (const auto& [key, value] : profile_.growth) {
    if (key.stack == kNoStack || !last_.contains(key.process)) continue;
    const Grown grown = since_baseline(key, value);
    const FrameId innermost = profile_.stacks.node(key.stack).frame;
    TopRow& row = row_of(profile_.stacks.frame(innermost), by_line, tables[key.process]);
    row.own_bytes += grown.bytes;
    row.samples += grown.samples;
    if (const auto rate = rates.find(key); rate != rates.end())
      row.now_bytes_per_second += rate->second;
  }
  return tables;
}

std::vector<WorkerRow> TopModel::workers(bool by_line) const {
  std::vector<WorkerRow> workers;
  const auto tables = rows_by_process(by_line);
  for (const auto& [index, point] : last_) {
    const ProcessRecord* process = profile_.find_process(index);
    if (process == nullptr) continue;
    WorkerRow worker{process->identity.pid, process->name,
                     point[SeriesColumn::kRssBytes].value_or(0), std::nullopt, std::nullopt};
    if (const auto course = rss_of_.find(index); course != rss_of_.end())
      worker.growth_per_minute = per_minute(course->second);
    if (const auto rows = tables.find(index); rows != tables.end())
      worker.top = hottest(rows->second);
    workers.push_back(std::move(worker));
  }
  std::stable_sort(workers.begin(), workers.end(), [](const WorkerRow& a, const WorkerRow& b) {
    const double left = a.growth_per_minute.value_or(0), right = b.growth_per_minute.value_or(0);
    return left != right ? left > right : a.rss_bytes > b.rss_bytes;
  });
  return workers;
}

}  // namespace memspy::cli
