// The page of `report -f html`: what it is made of, and the sentences and tables that report gives
// it.
#pragma once

#include <functional>
#include <optional>
#include <ostream>
#include <string>
#include <vector>

#include "cli/heap_source.h"
#include "cli/options.h"
#include "report/annotate.h"
#include "sinks/page.h"
#include "sinks/snapshot_formats.h"

namespace memspy::cli {

struct PageRequest {
  const recording::Profile* run = nullptr;   // null: none
  const recording::Profile* base = nullptr;  // what it is compared with; null: nothing
  const OpenedHeap* heap = nullptr;          // null: none
  ShapeOptions shape;
  std::optional<report::AnnotateOptions> sources;  // absent: no source of the target in the page
  std::vector<sinks::PageAlert> alerts;            // of the run's process
  std::string lead;                                // before the run's verdict; "" nothing
  std::string warning;                             // of the parts together; "" nothing
};

// `look` is what the parts point to: of the heap, where there is one.
sinks::PageParts page_parts(const PageRequest& request, std::optional<snapshot::Look>& look);

// Of a run alone the same bytes as the format table's html.
Result<Unit> write_page(const PageRequest& request, std::ostream& out);

// Recordings, two at most and the earlier one first, and one snapshot.
struct PageFiles {
  std::vector<std::string> paths;
  std::function<Result<recording::Profile>(const std::string& path)> load;  // with its timeline
  ShapeOptions shape;
  std::optional<report::AnnotateOptions> sources;
  std::string alerts;  // an alert log, of which those of the run's processes are marked; "" none
  std::string lead;    // what somebody knows better than the run does; "" nothing
};
// What the files have to do with one another is said in the page and on stderr: a snapshot may be
// of another process than the recording. kUsage: files that do not go together.
Result<Unit> write_page(const PageFiles& files, std::ostream& out, Env& env);

// With the heap's tables, for the formats of snapshots that show them.
sinks::SnapshotFormatOptions heap_format_options(const OpenedHeap& heap);

}  // namespace memspy::cli
