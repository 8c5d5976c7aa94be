// .memsnap: a snapshot on disk. Versioned, checksummed sections, mapped rather than read;
// docs/snapshot-format.md is its specification.
#pragma once

#include <cstdint>
#include <string>

#include "memspy/result.h"
#include "snapshot/analysis.h"
#include "snapshot/snapshot.h"

namespace memspy::snapshot {

inline constexpr std::uint32_t kSnapshotFormat = 1;

// With dominators, which cost more to compute than to keep. Written beside its place and renamed.
Result<Unit> write_snapshot(const std::string& path, const Snapshot& snapshot,
                            const Dominators& dominators);

struct OpenedSnapshot {
  Snapshot snapshot;
  Dominators dominators;  // computed anew when their section is missing or damaged
  std::vector<std::string>
      damage;  // sections that are missing or fail their checksum, for a person
};
// kCorrupt: not a snapshot, or too little of it is intact; kUnsupported: a newer format, both
// numbers named.
Result<OpenedSnapshot> open_snapshot(const std::string& path);

}  // namespace memspy::snapshot
