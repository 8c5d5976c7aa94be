// Traces summed up: by line, file, whole stack, or type and line, with the files left out that
// nobody asked for. As tracemalloc's own statistics do it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "memspy/trace_table.h"

namespace memspy::report {

enum class TraceGroup { kLine, kFile, kTraceback, kType };
std::optional<TraceGroup> find_trace_group(std::string_view name);
std::string_view trace_group_name(TraceGroup group);

// Globs on the name of the file that allocated (the most recent call), as tracemalloc.Filter takes
// them: '*' matches slashes as well, *.pyc means *.py. A trace counts when any of `include` fits,
// or there is none, and none of `exclude` does.
struct TraceFilter {
  std::vector<std::string> include, exclude;
};

struct TraceRow {
  std::string place;                 // "/srv/app.py:12", or the file alone
  std::vector<std::string> callers;  // by traceback: what led there, most recent first
  std::string type;                  // by type: "builtins.dict", "[no object]"
  std::uint64_t count = 0, bytes = 0;

  std::string key() const;  // the same for the same row of another look
};

struct TraceTotals {
  std::uint64_t count = 0, bytes = 0;
};

struct TraceRows {
  TraceGroup by = TraceGroup::kLine;
  std::vector<TraceRow> rows;  // by bytes, descending
  TraceTotals total;           // of the rows
  TraceTotals left_out;        // by the filter; total + left_out is every trace
};

TraceRows group_traces(const TraceTable& table, TraceGroup by, const TraceFilter& filter);
// By whole stack, and where `types`, by what lives in the blocks as well.
TraceRows group_stacks(const TraceTable& table, bool types, const TraceFilter& filter);

// What became of a row from one look to the next.
struct TraceGrowth {
  TraceRow row;  // as it is now, or was
  TraceTotals before, now;
  std::int64_t grown_bytes = 0, grown_count = 0;
};
// By |grown_bytes|, descending, without those that stayed as they were. Both by the same group.
std::vector<TraceGrowth> compare_traces(const TraceRows& before, const TraceRows& now);

// "/srv/app.py:12"; the file alone where the line is not known.
std::string trace_place(const TraceTable& table, const TraceFrame& frame);

}  // namespace memspy::report
