// The source of a program with the growth of each line beside it, as memory_profiler prints it.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
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

// Parts of the sources for a file that is passed around.
struct SourceExcerpt {
  std::string file;                                         // as the target names it
  bool newer = false;                                       // than the run
  std::vector<std::pair<std::int32_t, std::string>> lines;  // number and text, ascending
};

// The lines that grew and those around them, of the files that grew most. The target says which
// files these are, and may lie: only what is Python's by its suffix, links followed, is
// opened.
std::vector<SourceExcerpt> source_excerpts(const recording::Profile& profile,
                                           const AnnotateOptions& annotate);

}  // namespace memspy::report
