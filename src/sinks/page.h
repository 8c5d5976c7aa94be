// The page that `-f html` writes: one file that shows a run, a heap, or both, in any browser and
// without a network. Its code is web/'s; this side gives it the data. docs/design/0005.
#pragma once

#include <chrono>
#include <cstdint>
#include <ostream>
#include <string>
#include <string_view>
#include <vector>

#include "memspy/result.h"
#include "sinks/sink_registry.h"
#include "snapshot/diff.h"

namespace memspy::sinks {

// A part of a source file of the target, for the lines of it that grew.
struct PageSource {
  struct Line {
    std::int32_t number = 0;  // from 1
    std::string text;
  };
  std::string file;    // as the target names it
  bool newer = false;  // than the run: lines may have moved
  std::vector<Line> lines;
};

// An alert of the run's process, which the series marks.
struct PageAlert {
  std::chrono::nanoseconds time{};  // since the Unix epoch
  std::string name, when;
  std::string state;  // "firing", "resolved", "oom-killed"
};

struct PageParts {
  const recording::Profile* run = nullptr;   // with its timeline; null: none
  const recording::Profile* base = nullptr;  // what `run` is compared with; null: nothing
  std::string comparison;                    // the sentence about the two
  FormatOptions options;                     // of both
  const snapshot::Look* heap = nullptr;      // null: none
  std::string heap_document;                 // "memspy.heap/1" of it: docs/json.md
  std::vector<PageSource> sources;
  std::vector<PageAlert> alerts;  // ascending; only with `run`
  std::string warning;            // of what the parts have to do with one another; "" nothing
};

// kOutput when the stream fails.
Result<Unit> write_page(const PageParts& parts, std::ostream& out);

// The data alone, schema "memspy.page/1": docs/json.md.
std::string page_json(const PageParts& parts);

// The page without data, which asks whoever served it: `targets` for a list, and
// `targets/PID/page` for the data of one.
std::string dashboard_page();
// The content security policy of a page, as its own head has it.
std::string page_policy(std::string_view page);

}  // namespace memspy::sinks
