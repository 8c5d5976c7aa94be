// Which objects live in traced blocks: types get the lines that allocated them.
#pragma once

#include "cpython/heap/heap_walker.h"
#include "memspy/trace_table.h"

namespace memspy::heap {

// Walks the heap and sets Trace::type of every block that holds an object or a buffer of one (a
// list's items, a dict's keys). Blocks of neither keep kNoTraceType.
Result<Unit> join_types(const cpython::HeapInput& input, TraceTable& table);

}  // namespace memspy::heap
