#include "cli/process_watch.h"

#include <algorithm>

#include "base/duration.h"

namespace memspy::cli {
namespace {
constexpr std::chrono::minutes kWindow{1};
}

const std::vector<ProcessRow>& ProcessWatch::refresh() {
  rows_ = env_->list_python();
  const SteadyTime now = env_->clock.now();
  std::map<Pid, std::pair<SteadyTime, std::uint64_t>> first;
  for (ProcessRow& row : rows_) {
    const auto known = first_.find(row.pid);
    auto& [since, bytes] = first[row.pid];
    since = known != first_.end() ? known->second.first : now;
    bytes = known != first_.end() ? known->second.second : row.rss_bytes;
    const double seconds = to_seconds(now - since);
    if (seconds > 0)
      row.growth_per_minute =
          (static_cast<double>(row.rss_bytes) - static_cast<double>(bytes)) / seconds * 60;
    if (now - since >= kWindow) {
      since = now;
      bytes = row.rss_bytes;
    }
  }
  first_ = std::move(first);
  std::stable_sort(rows_.begin(), rows_.end(), [](const ProcessRow& a, const ProcessRow& b) {
    return a.rss_bytes > b.rss_bytes;
  });
  return rows_;
}

}  // namespace memspy::cli
