// The header and the summary of a run as rows of (key, value), so that a later version can add
// facts without a new format. Unknown keys are ignored when read; missing ones keep their default.
#pragma once

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "memspy/sample.h"

namespace memspy::recording {

struct Blob {
  std::string bytes;
};
using RowValue = std::variant<std::int64_t, double, std::string, Blob>;
struct Row {
  std::string key;
  RowValue value;
};

std::vector<Row> header_rows(const RunHeader& header);
std::vector<Row> summary_rows(const RunSummary& summary);
void apply_header_row(const Row& row, RunHeader& header);
void apply_summary_row(const Row& row, RunSummary& summary);

// A command line as /proc/PID/cmdline has it: each argument ends in a NUL byte.
std::string join_arguments(const std::vector<std::string>& arguments);
std::vector<std::string> split_arguments(const std::string& bytes);

}  // namespace memspy::recording
