// Traces as `memspy traces` prints them: a table, two looks side by side, JSON, folded stacks; and
// the sentence to act on.
#pragma once

#include <string>

#include <nlohmann/json_fwd.hpp>

#include "memspy/trace_table.h"
#include "report/display.h"
#include "report/trace_groups.h"
#include "snapshot/snapshot.h"

namespace memspy::report {

// One look: of which process, and its traces.
struct TraceView {
  const snapshot::Header* header;
  const TraceTable* table;
};

struct TraceReportOptions {
  TraceGroup by = TraceGroup::kLine;
  TraceFilter filter;
  std::size_t limit = 20;  // rows of a text; 0: all
  Style style;
};

std::string trace_text(const TraceView& look, const TraceReportOptions& options);
std::string trace_growth_text(const TraceView& before, const TraceView& now,
                              const TraceReportOptions& options);

// Schema "memspy.traces/1": every row, whatever the limit.
nlohmann::ordered_json trace_json(const TraceView& look, const TraceReportOptions& options);
// What stands under `growth` of a later look's document.
nlohmann::ordered_json trace_growth_json(const TraceView& before, const TraceView& now,
                                         const TraceReportOptions& options);

// A line per stack, outermost call first, bytes; by type, the type is the innermost frame. Of two
// looks: what grew, and only that.
std::string trace_folded(const TraceView& look, const TraceReportOptions& options);
std::string trace_growth_folded(const TraceView& before, const TraceView& now,
                                const TraceReportOptions& options);

// Which line has how much of what is traced, and what to do next.
std::string trace_verdict(const TraceView& look, const TraceRows& rows);
std::string trace_growth_verdict(const std::vector<TraceGrowth>& rows, double minutes);

}  // namespace memspy::report
