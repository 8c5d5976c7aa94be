// Every format that is derived from a snapshot and opened by other programs: one table, as
// sink_registry.h is for recordings. Texts and JSON for people and scripts are report's.
#pragma once

#include <functional>
#include <ostream>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "memspy/result.h"
#include "snapshot/diff.h"

namespace memspy::sinks {

// What sinks do not know of a heap, and its page shows: who asks for a format gives it.
struct SnapshotFormatOptions {
  // "memspy.heap/1" of a look (docs/json.md). Empty: there is none.
  std::function<std::string(const snapshot::Look&)> document;
};

struct SnapshotFormat {
  std::string_view name;
  std::vector<std::string_view> suffixes;  // the first is the usual one
  std::string_view help;
  // kOutput when the stream fails.
  Result<Unit> (*write)(const snapshot::Look&, const SnapshotFormatOptions&, std::ostream&);
};

std::span<const SnapshotFormat> snapshot_formats();
const SnapshotFormat* find_snapshot_format(std::string_view name);      // nullptr: none
const SnapshotFormat* find_snapshot_format_for(std::string_view path);  // by suffix; nullptr: none

// What the table points to, one file each.
Result<Unit> write_heapsnapshot(const snapshot::Look&, const SnapshotFormatOptions&, std::ostream&);
Result<Unit> write_heap_html(const snapshot::Look&, const SnapshotFormatOptions&, std::ostream&);
Result<Unit> write_owner_svg(const snapshot::Look&, const SnapshotFormatOptions&, std::ostream&);
Result<Unit> write_owner_folded(const snapshot::Look&, const SnapshotFormatOptions&, std::ostream&);
Result<Unit> write_owner_speedscope(const snapshot::Look&, const SnapshotFormatOptions&,
                                    std::ostream&);
Result<Unit> write_owner_pprof(const snapshot::Look&, const SnapshotFormatOptions&, std::ostream&);

}  // namespace memspy::sinks
