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
#include "snapshot/diff.h"
#include "snapshot/snapshot.h"

namespace memspy::heap {

struct LookOptions {
  attach::ImageOptions image;
  std::optional<int> assume_minor;
  bool values = false;  // keep the texts of strings and numbers
  bool marks = false;   // tell which strings say the same: snapshot::StringMark
  // For a person at a terminal: what is being done, and how far (0..1).
  std::function<void(const char* phase, double share)> progress;
  // True: nobody waits for the look any more; it ends at the next phase.
  std::function<bool()> cancelled;
  // How the copy is taken of a process that is being sampled, which can have one tracer only; else
  // attach::take_image().
  std::function<Result<std::unique_ptr<attach::ProcessImage>>(const attach::ImageOptions&)> take;
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
// The same of two looks or more, oldest first, all with owners: which kind of memory grew, of what
// grew in each of them the type and the owner; "steady" when nothing did.
std::string verdict_of_growth(std::span<const snapshot::Look> looks,
                              const snapshot::SnapshotDiff& diff);

}  // namespace memspy::heap
