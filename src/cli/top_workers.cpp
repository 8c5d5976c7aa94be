// What TopModel knows of each process of several.
#include <algorithm>

#include "cli/top_model.h"

namespace memspy::cli {
namespace {

// What has most now; when nothing has, what has most in all.
std::optional<TopRow> hottest(const std::map<std::pair<std::string, int>, TopRow>& rows) {
  const TopRow* now = nullptr;
  const TopRow* own = nullptr;
  for (const auto& [key, row] : rows) {
    if (now == nullptr || row.now_per_second > now->now_per_second) now = &row;
    if (own == nullptr || row.own > own->own) own = &row;
  }
  if (now != nullptr && now->now_per_second > 0) return *now;
  if (own != nullptr && own->own > 0) return *own;
  return std::nullopt;
}

}  // namespace

std::map<ProcessIndex, TopModel::Rows> TopModel::rows_by_process(bool by_line) const {
  std::map<ProcessIndex, Rows> tables;
  const auto rates = now_rates();
  each_charge([&](const Key& key, const Charge& charged) {
    if (key.stack == kNoStack || !last_.contains(key.process)) return;
    TopRow& row = row_of(owner_of(key.stack, /*past_native=*/true), by_line, tables[key.process]);
    row.own += charged.amount;
    row.samples += charged.samples;
    if (const auto rate = rates.find(key); rate != rates.end()) row.now_per_second += rate->second;
  });
  return tables;
}

std::vector<WorkerRow> TopModel::workers(bool by_line) const {
  std::vector<WorkerRow> workers;
  const auto tables = rows_by_process(by_line);
  for (const auto& [index, point] : last_) {
    const ProcessRecord* process = profile_.find_process(index);
    if (process == nullptr) continue;
    WorkerRow worker;
    worker.pid = process->identity.pid;
    worker.name = process->name;
    worker.rss_bytes = point[SeriesColumn::kRssBytes].value_or(0);
    if (const auto course = rss_of_.find(index); course != rss_of_.end())
      worker.growth_per_minute = per_minute(course->second);
    if (const auto rows = tables.find(index); rows != tables.end()) {
      for (const auto& [key, row] : rows->second) worker.now_per_second += row.now_per_second;
      worker.top = hottest(rows->second);
    }
    workers.push_back(std::move(worker));
  }
  const auto rank = [time = tells_time()](const WorkerRow& worker) {
    return time ? worker.now_per_second : worker.growth_per_minute.value_or(0);
  };
  std::stable_sort(workers.begin(), workers.end(), [&](const WorkerRow& a, const WorkerRow& b) {
    return rank(a) != rank(b) ? rank(a) > rank(b) : a.rss_bytes > b.rss_bytes;
  });
  return workers;
}

}  // namespace memspy::cli
