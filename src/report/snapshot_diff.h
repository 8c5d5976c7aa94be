// Two or more snapshots side by side, as `memspy diff` prints them.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "report/diff.h"
#include "report/display.h"
#include "snapshot/diff.h"

namespace memspy::report {

struct SnapshotDiffOptions {
  bool by_type = false, by_owner = false;  // neither: both tables
  std::size_t limit = 30;
  Style style;
};

// `names`: of the files, one per look. The verdict ends the text.
std::string snapshot_diff_text(std::span<const snapshot::Look> looks,
                               std::span<const std::string> names,
                               const snapshot::SnapshotDiff& diff,
                               const SnapshotDiffOptions& options, std::string_view verdict);
// Schema "memspy.snapshot-diff/1".
std::string snapshot_diff_json(std::span<const snapshot::Look> looks,
                               std::span<const std::string> names,
                               const snapshot::SnapshotDiff& diff, std::string_view verdict,
                               const std::optional<AskedCondition>& asked = {});

}  // namespace memspy::report
