#include "memspy/series.h"

namespace memspy {
namespace {

using C = SeriesColumn;
constexpr std::array<SeriesColumnInfo, kSeriesColumnCount> kColumns = {{
    {C::kRssBytes, "rss_bytes", true},
    {C::kPssBytes, "pss_bytes", true},
    {C::kUssBytes, "uss_bytes", true},
    {C::kSwapBytes, "swap_bytes", true},
    {C::kVmsBytes, "vms_bytes", true},
    {C::kThreads, "threads", true},
    {C::kOpenFiles, "open_files", true},
    {C::kCpuPercent, "cpu_percent", false},
    {C::kMinorFaults, "minor_faults", true},
    {C::kMajorFaults, "major_faults", true},
    {C::kRssAnonBytes, "rss_anon_bytes", true},
    {C::kRssFileBytes, "rss_file_bytes", true},
    {C::kRssShmemBytes, "rss_shmem_bytes", true},
    {C::kPeakRssBytes, "peak_rss_bytes", true},
    {C::kArenaBytes, "arena_bytes", true},
    {C::kPymallocUsedBytes, "pymalloc_used_bytes", true},
    {C::kPymallocFreeBytes, "pymalloc_free_bytes", true},
    {C::kGc0Count, "gc0_count", true},
    {C::kGc1Count, "gc1_count", true},
    {C::kGc2Count, "gc2_count", true},
    {C::kGc0Collections, "gc0_collections", true},
    {C::kGc1Collections, "gc1_collections", true},
    {C::kGc2Collections, "gc2_collections", true},
    {C::kCgroupUsageBytes, "cgroup_usage_bytes", true},
    {C::kCgroupLimitBytes, "cgroup_limit_bytes", true},
    {C::kAttributedBytes, "attributed_bytes", true},
    {C::kUnattributedBytes, "unattributed_bytes", true},
    {C::kSamples, "samples", true},
    {C::kRejected, "rejected", true},
    {C::kStoppedSeconds, "stopped_seconds", false},
    {C::kPymallocUsedBlocks, "pymalloc_used_blocks", true},
}};

constexpr bool in_order() {
  for (std::size_t i = 0; i < kColumns.size(); ++i) {
    if (static_cast<std::size_t>(kColumns[i].column) != i) return false;
  }
  return true;
}
static_assert(in_order(), "the table must follow the enum");

}  // namespace

std::span<const SeriesColumnInfo> series_columns() { return kColumns; }

std::optional<SeriesColumn> find_series_column(std::string_view name) {
  for (const auto& info : kColumns) {
    if (info.name == name) return info.column;
  }
  return std::nullopt;
}

}  // namespace memspy
