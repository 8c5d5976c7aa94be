// --fail-on of a comparison: the last of the files against the first.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "cli/condition.h"
#include "memspy/result.h"
#include "report/diff.h"
#include "snapshot/diff.h"

namespace memspy::cli {

// What a condition may be asked of. What the files do not say is absent.
struct Compared {
  recording::Measure measure = recording::Measure::kBytes;
  std::optional<double> growth;             // last less first; bytes alone have it
  std::optional<double> growth_per_second;  // the same of the rates
  std::optional<double> rss;                // of the last: the level, in a recording its peak
  std::optional<double> heap_bytes, heap_objects;
  // Of recordings of mode alloc: the share of CPU time in user mode, of the last; less the first's.
  std::optional<double> allocating, allocating_change;
};

// Of recordings: how much more the last run grew, or spent allocating, than the first.
Compared compared(const report::Diff& diff);
// Of snapshots: by how much the heap grew in between.
Compared compared(std::span<const snapshot::Look> looks, const snapshot::SnapshotDiff& diff);

// kUsage when the files cannot answer: a check that passes for want of data is none.
Result<report::AskedCondition> ask(const Condition& condition, const Compared& compared);

}  // namespace memspy::cli
