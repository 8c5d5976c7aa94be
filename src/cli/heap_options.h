// How a heap is shown: rows by what, in which order, how many.
#pragma once

#include "cli/options.h"
#include "report/heap_text.h"

namespace memspy::cli {

void add_heap_report(CLI::App& app, report::HeapReportOptions& options);
// A positive number of objects.
void add_largest(CLI::App& app, std::size_t& largest, const std::string& description);

}  // namespace memspy::cli
