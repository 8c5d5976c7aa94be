#include "recording/run_rows.h"

#include <array>
#include <string_view>

namespace memspy::recording {
namespace {

constexpr std::string_view kCounterPrefix = "counter.";

std::int64_t as_integer(const RowValue& value) {
  if (const auto* integer = std::get_if<std::int64_t>(&value)) return *integer;
  if (const auto* real = std::get_if<double>(&value)) {
    return *real > -9e18 && *real < 9e18 ? static_cast<std::int64_t>(*real) : 0;
  }
  return 0;
}

double as_real(const RowValue& value) {
  if (const auto* real = std::get_if<double>(&value)) return *real;
  return static_cast<double>(as_integer(value));
}

std::string as_text(const RowValue& value) {
  if (const auto* text = std::get_if<std::string>(&value)) return *text;
  if (const auto* blob = std::get_if<Blob>(&value)) return blob->bytes;
  return {};
}

struct TextField {
  std::string_view key;
  std::string RunHeader::*field;
};
constexpr std::array kHeaderTexts = {
    TextField{"memspy_version", &RunHeader::memspy_version},
    TextField{"mode", &RunHeader::mode},
    TextField{"engine", &RunHeader::engine},
    TextField{"engine_reason", &RunHeader::engine_reason},
    TextField{"host", &RunHeader::host},
    TextField{"kernel", &RunHeader::kernel},
};

struct CountField {
  std::string_view key;
  std::uint64_t RunSummary::*field;
};
constexpr std::array kSummaryCounts = {
    CountField{"samples", &RunSummary::samples},
    CountField{"rejected", &RunSummary::rejected},
    CountField{"late", &RunSummary::late},
    CountField{"growth_bytes", &RunSummary::growth_bytes},
    CountField{"attributed_bytes", &RunSummary::attributed_bytes},
    CountField{"unattributed_bytes", &RunSummary::unattributed_bytes},
    CountField{"shrink_bytes", &RunSummary::shrink_bytes},
    CountField{"rss_start_bytes", &RunSummary::rss_start_bytes},
    CountField{"rss_end_bytes", &RunSummary::rss_end_bytes},
    CountField{"rss_peak_bytes", &RunSummary::rss_peak_bytes},
};

struct TimeField {
  std::string_view key;
  std::chrono::nanoseconds RunSummary::*field;
};
constexpr std::array kSummaryTimes = {
    TimeField{"duration_ns", &RunSummary::duration},
    TimeField{"stopped_ns", &RunSummary::stopped},
    TimeField{"pause_p50_ns", &RunSummary::pause_p50},
    TimeField{"pause_p99_ns", &RunSummary::pause_p99},
    TimeField{"pause_max_ns", &RunSummary::pause_max},
};

}  // namespace

std::vector<Row> header_rows(const RunHeader& header) {
  std::vector<Row> rows;
  for (const auto& [key, field] : kHeaderTexts) rows.push_back({std::string(key), header.*field});
  rows.push_back({"command_line", Blob{join_arguments(header.command_line)}});
  rows.push_back({"wall_start_ns", std::int64_t{header.wall_start.count()}});
  rows.push_back({"interval_ns", std::int64_t{header.interval.count()}});
  rows.push_back({"budget_percent", header.budget_percent});
  rows.push_back({"subprocesses", std::int64_t{header.subprocesses ? 1 : 0}});
  return rows;
}

void apply_header_row(const Row& row, RunHeader& header) {
  for (const auto& [key, field] : kHeaderTexts) {
    if (row.key == key) header.*field = as_text(row.value);
  }
  if (row.key == "command_line") header.command_line = split_arguments(as_text(row.value));
  if (row.key == "wall_start_ns")
    header.wall_start = std::chrono::nanoseconds(as_integer(row.value));
  if (row.key == "interval_ns") header.interval = std::chrono::nanoseconds(as_integer(row.value));
  if (row.key == "budget_percent") header.budget_percent = as_real(row.value);
  if (row.key == "subprocesses") header.subprocesses = as_integer(row.value) != 0;
}

std::vector<Row> summary_rows(const RunSummary& summary) {
  std::vector<Row> rows;
  for (const auto& [key, field] : kSummaryCounts) {
    rows.push_back({std::string(key), static_cast<std::int64_t>(summary.*field)});
  }
  for (const auto& [key, field] : kSummaryTimes) {
    rows.push_back({std::string(key), std::int64_t{(summary.*field).count()}});
  }
  rows.push_back({"ended_by", summary.ended_by});
  for (const auto& [name, value] : summary.counters) {
    rows.push_back({std::string(kCounterPrefix) + name, value});
  }
  return rows;
}

void apply_summary_row(const Row& row, RunSummary& summary) {
  for (const auto& [key, field] : kSummaryCounts) {
    if (row.key == key) summary.*field = static_cast<std::uint64_t>(as_integer(row.value));
  }
  for (const auto& [key, field] : kSummaryTimes) {
    if (row.key == key) summary.*field = std::chrono::nanoseconds(as_integer(row.value));
  }
  if (row.key == "ended_by") summary.ended_by = as_text(row.value);
  if (row.key.starts_with(kCounterPrefix)) {
    summary.counters.emplace_back(row.key.substr(kCounterPrefix.size()), as_real(row.value));
  }
}

std::string join_arguments(const std::vector<std::string>& arguments) {
  std::string bytes;
  for (const auto& argument : arguments) bytes.append(argument).push_back('\0');
  return bytes;
}

std::vector<std::string> split_arguments(const std::string& bytes) {
  std::vector<std::string> arguments;
  for (std::size_t at = 0; at < bytes.size();) {
    const std::size_t end = std::min(bytes.find('\0', at), bytes.size());
    arguments.push_back(bytes.substr(at, end - at));
    at = end + 1;
  }
  return arguments;
}

}  // namespace memspy::recording
