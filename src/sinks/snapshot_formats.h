// Every format that is derived from a snapshot and opened by other programs: one table, as
// sink_registry.h is for recordings. Texts and JSON for people and scripts are report's.
#pragma once

#include <ostream>
#include <span>
#include <string_view>
#include <vector>

#include "memspy/result.h"
#include "snapshot/diff.h"

namespace memspy::sinks {

struct SnapshotFormat {
  std::string_view name;
  std::vector<std::string_view> suffixes;  // the first is the usual one
  std::string_view help;
  // kOutput when the stream fails.
  Result<Unit> (*write)(const snapshot::Look&, std::ostream&);
};

std::span<const SnapshotFormat> snapshot_formats();
const SnapshotFormat* find_snapshot_format(std::string_view name);  // nullptr: none
const SnapshotFormat* find_snapshot_format_for(std::string_view path);  // by suffix; nullptr: none

// What the table points to, one file each.
Result<Unit> write_heapsnapshot(const snapshot::Look&, std::ostream&);
Result<Unit> write_owner_folded(const snapshot::Look&, std::ostream&);
Result<Unit> write_owner_speedscope(const snapshot::Look&, std::ostream&);
Result<Unit> write_owner_pprof(const snapshot::Look&, std::ostream&);

}  // namespace memspy::sinks
