// One look at tracemalloc's table in a live process: one stop, a copy of the memory, the table
// walked in the copy, and where asked for each block joined with the object that lives in it.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "attach/process_image.h"
#include "cpython/interpreter.h"
#include "memspy/result.h"
#include "memspy/trace_table.h"
#include "snapshot/snapshot.h"

namespace memspy::heap {

struct TraceLookOptions {
  attach::ImageOptions image;
  std::optional<int> assume_minor;
  bool types = false;  // join blocks with objects: a walk over the whole heap
  // For a person at a terminal: what is being done, and how far (0..1).
  std::function<void(const char* phase, double share)> progress;
};

struct TraceLook {
  snapshot::Header header;  // of the process; nothing of objects
  TraceTable table;
  std::vector<cpython::LocatorAttempt> attempts;
  std::string layout_source;
  std::vector<std::string> remarks;  // for a person, with -v
};

// kInternal, with what to try: the process does not trace its allocations. Else as look_at_process.
// A table that was caught in the middle of a change is looked at again, two more times at most.
Result<TraceLook> look_at_traces(Pid pid, const TraceLookOptions& options);

}  // namespace memspy::heap
