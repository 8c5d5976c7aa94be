// A profile as text for people (table, tree) and as CSV and JSON for programs.
#pragma once

#include <string>

#include "recording/profile.h"
#include "report/display.h"
#include "report/figures.h"
#include "report/groups.h"

namespace memspy::report {

enum class SortBy { kOwn, kCumulative, kName };

struct ReportOptions {
  GroupBy by = GroupBy::kLine;
  SortBy sort = SortBy::kOwn;
  recording::StackShape shape;
  recording::Amount amount = recording::Amount::kNet;
  std::size_t limit = 30;  // rows of a text; 0: all
  double tree_cut = 0.01;  // parts of the total below are summed up
  Style style;
};

// Loss (if any), head, RSS, verdict, table, evidence.
std::string report_table(const recording::Profile& profile, const ReportOptions& options);
// The same with the call tree in place of the table.
std::string report_tree(const recording::Profile& profile, const ReportOptions& options);
// All rows: function,file,line,own_bytes,own_percent,cumulative_bytes,cumulative_percent,samples;
// in mode alloc own_microseconds and cumulative_microseconds.
std::string report_csv(const recording::Profile& profile, const ReportOptions& options);
// Schema "memspy.report/1".
std::string report_json(const recording::Profile& profile, const ReportOptions& options);

// The lines above and below a body: also for other bodies (annotated source).
std::string report_head(const recording::Profile& profile, const ReportOptions& options);
std::string report_foot(const recording::Profile& profile, const ReportOptions& options);

// "pid 4242 (python3, Python 3.11.7) and 1 more process, engine faults, 2.0 s from 2023-…Z"
std::string run_title(const recording::Profile& profile);

}  // namespace memspy::report
