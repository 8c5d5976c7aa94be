// The time series of a process: one point per tick, one optional value per column. The table in
// series.cpp is the only place that knows names and units; CSV, JSON lines and the recording follow
// it.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "memspy/process.h"

namespace memspy {

// The order is the order of the CSV's columns. New columns are appended: recordings name them.
enum class SeriesColumn : std::uint8_t {
  kRssBytes,
  kPssBytes,
  kUssBytes,
  kSwapBytes,
  kVmsBytes,
  kThreads,
  kOpenFiles,
  kCpuPercent,
  kMinorFaults,
  kMajorFaults,  // counts since the process started
  kRssAnonBytes,
  kRssFileBytes,
  kRssShmemBytes,
  kPeakRssBytes,
  kArenaBytes,
  kPymallocUsedBytes,
  kPymallocFreeBytes,
  kGc0Count,
  kGc1Count,
  kGc2Count,  // pending counts of each generation
  kGc0Collections,
  kGc1Collections,
  kGc2Collections,
  kCgroupUsageBytes,
  kCgroupLimitBytes,
  kAttributedBytes,
  kUnattributedBytes,  // net since the start of the run, as reconciled at this tick
  kSamples,
  kRejected,
  kStoppedSeconds,  // since the start of the run
  kPymallocUsedBlocks,
  kCount
};
inline constexpr std::size_t kSeriesColumnCount = static_cast<std::size_t>(SeriesColumn::kCount);

struct SeriesColumnInfo {
  SeriesColumn column;
  std::string_view name;  // with its unit, as it stands in CSV headers and JSON keys
  bool integral;          // printed without a fraction
};
std::span<const SeriesColumnInfo> series_columns();
std::optional<SeriesColumn> find_series_column(std::string_view name);

struct SeriesPoint {
  ProcessIndex process;
  std::chrono::nanoseconds time{};  // since the start of the run, steady clock
  // Integers up to 2^53 are exact. Absent: not measured at this tick.
  std::array<std::optional<double>, kSeriesColumnCount> values{};

  std::optional<double>& operator[](SeriesColumn c) { return values[static_cast<std::size_t>(c)]; }
  const std::optional<double>& operator[](SeriesColumn c) const {
    return values[static_cast<std::size_t>(c)];
  }
};

}  // namespace memspy
