// The source of a program with the growth of each line beside it, as memory_profiler prints it.
#pragma once

#include <string>
#include <vector>

#include "recording/profile.h"
#include "report/report.h"

namespace memspy::report {

struct AnnotateOptions {
  std::vector<std::string>
      source_roots;            // folders to look for sources in, besides the paths as they are
  std::string only_file;       // a file's path or its tail; "": every file with growth
  std::size_t context = 5;     // lines around a line that grew; 0: the whole file
  std::size_t max_files = 10;  // those that grew most
};

// A line's own growth (native code it called included), its growth with what it called, its share,
// its source. A file whose source cannot be read, or is newer than the run, is said so.
std::string report_annotated(const recording::Profile& profile, const ReportOptions& options,
                             const AnnotateOptions& annotate);

}  // namespace memspy::report
