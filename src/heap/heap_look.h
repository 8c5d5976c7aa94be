// One look at a heap, from the stop to the model that every verb prints: image, walk, graph,
// dominators, owners, ledger. The one place where the heap's parts come together.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "attach/process_image.h"
#include "cpython/heap/heap_walker.h"
#include "memspy/result.h"
#include "snapshot/analysis.h"
#include "snapshot/snapshot.h"

namespace memspy::heap {

struct LookOptions {
  attach::ImageOptions image;
  std::optional<int> assume_minor;
  bool values = false;  // keep the texts of strings and numbers
  // For a person at a terminal: what is being done, and how far (0..1).
  std::function<void(const char* phase, double share)> progress;
};

struct HeapLook {
  snapshot::Snapshot snapshot;
  snapshot::Dominators dominators;
  snapshot::Owners owners;
  cpython::WalkStats stats;
  std::vector<cpython::LocatorAttempt> attempts;
  std::string layout_source;
  std::vector<std::string> remarks;  // for a person, with -v
  // Adds the texts of these nodes (keys on a path, examples) to the snapshot given, which is this
  // one wherever it was moved. Keeps the copy of the memory alive; reset it to let go.
  std::function<void(snapshot::Snapshot&, std::span<const NodeIndex>)> read_texts;
};

Result<HeapLook> look_at_process(Pid pid, const LookOptions& options);
Result<HeapLook> look_at_core(const std::string& core, const std::string& executable,
                              const LookOptions& options);

// The sentence to act on: what kind of memory it is, and what to do.
std::string verdict_of(const snapshot::Snapshot& snapshot, const snapshot::Owners& owners);

}  // namespace memspy::heap
