#include "heap/ledger_parts.h"

#include "heap/ledger.h"

namespace memspy::heap {

LedgerParts sum_up_ledger(const snapshot::Snapshot& snapshot) {
  LedgerParts parts;
  for (const snapshot::LedgerRow& row : snapshot.ledger) {
    parts.rss += row.bytes;
    const std::string_view name = row.row;
    if (name.starts_with(kLiveRow) || name.starts_with(kBuffersRow)) parts.objects += row.bytes;
    if (name == kPoolFreeRow || name == kPoolEmptyRow) {
      parts.pool_free += row.bytes;
      if (!row.note.empty()) parts.pool_row = &row;
    }
    // Files of versions that did not tell arenas apart have one row of each kind.
    if (name.starts_with(kMallocLiveRow) || name == kPoolOtherRow) parts.malloc_live += row.bytes;
    if (name.starts_with(kMallocFreeRow)) parts.malloc_free += row.bytes;
    if (name == kFilesRow) parts.files += row.bytes;
    if (name == kCodeRow || name == kDataRow) parts.code += row.bytes;
    if (name == kSharedRow) parts.shared += row.bytes;
    if (name == kHugeRow) parts.huge += row.bytes;
    if (name == kStacksRow) parts.stacks += row.bytes;
    if (name.ends_with(kAllocatorRow)) parts.allocator += row.bytes;
    if (name == kUnexplainedRow || name == kAnonymousRow) parts.unexplained += row.bytes;
  }
  return parts;
}

double ledger_counter(const snapshot::Snapshot& snapshot, std::string_view name) {
  for (const auto& [known, value] : snapshot.header.counters) {
    if (known == name) return value;
  }
  return 0;
}

}  // namespace memspy::heap
