// The rows of a ledger by what can be done about them: what verdicts weigh against each other.
#pragma once

#include <cstdint>
#include <string_view>

#include "snapshot/snapshot.h"

namespace memspy::heap {

struct LedgerParts {
  std::uint64_t rss = 0, objects = 0, pool_free = 0, malloc_live = 0, malloc_free = 0;
  std::uint64_t files = 0, shared = 0, huge = 0, code = 0, stacks = 0;
  std::uint64_t allocator = 0;  // of one that was not walked: live and free together
  std::uint64_t unexplained = 0;
  const snapshot::LedgerRow* pool_row = nullptr;  // the one with the note on pinned arenas

  std::uint64_t free() const { return pool_free + malloc_free; }
};

// Points into the snapshot.
LedgerParts sum_up_ledger(const snapshot::Snapshot& snapshot);

// Of Header::counters; 0 when there is none of this name.
double ledger_counter(const snapshot::Snapshot& snapshot, std::string_view name);

}  // namespace memspy::heap
