// The table of tracemalloc, walked in a still copy of the memory: every block, its size, and the
// lines that allocated it. Sound numbers from hostile bytes: what contradicts itself is in
// TraceDamage.
#pragma once

#include "cpython/traces/trace_place.h"
#include "memspy/result.h"
#include "memspy/trace_table.h"

namespace memspy::cpython {

// nullopt: tracemalloc is off, or was never started; `evidence` (may be null) says what tells.
// kCorrupt: it is on, and its table is in pieces at this moment. One thread; about 0.2 µs a trace.
Result<std::optional<TraceTable>> read_traces(const TraceInput& input,
                                              std::string* evidence = nullptr);

}  // namespace memspy::cpython
