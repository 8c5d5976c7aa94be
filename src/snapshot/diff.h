// What grew from one snapshot to the next: by type, by owner, and which objects are new and still
// there (matched by address, type and, where there are three or more, in every one).
#pragma once

#include <span>
#include <string>
#include <vector>

#include "memspy/result.h"

#include "snapshot/analysis.h"
#include "snapshot/snapshot.h"

namespace memspy::snapshot {

struct Look {
  const Snapshot* snapshot;
  const Dominators* dominators;
  const Owners* owners;
};
struct GrowthRow {
  std::string name;                               // a type or an owner
  std::vector<std::uint64_t> counts, bytes;       // per snapshot
  std::int64_t grown_count = 0, grown_bytes = 0;  // last - first
  double bytes_per_minute = 0;
  bool grew_every_time = false;
  std::uint64_t new_and_alive = 0;  // objects at addresses where the first had none of the type
};
struct SnapshotDiff {
  // Addresses and times compare only within one process: without, new, gone and rates are 0.
  bool same_process = false;
  double minutes = 0;                    // first to last
  std::vector<GrowthRow> types, owners;  // by |grown_bytes|, descending
  std::uint64_t new_count = 0, new_bytes = 0, gone_count = 0, gone_bytes = 0;
};
// kUsage: fewer than two, or of one process and not in order of time. Looks without owners are
// compared by type.
Result<SnapshotDiff> diff_snapshots(std::span<const Look> looks);

}  // namespace memspy::snapshot
