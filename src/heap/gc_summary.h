// The collector's state as a snapshot keeps it: figures of its generations, gc.garbage.
#pragma once

#include <vector>

#include "cpython/interpreter.h"
#include "memspy/memory_reader.h"
#include "snapshot/snapshot.h"

namespace memspy::heap {

// Empty when the state cannot be read. Numbers of objects are those of the walk, of all
// interpreters together, and stand with the first.
std::vector<snapshot::GcSummary> summarize_gc(const cpython::Interpreter& interpreter,
                                              const MemoryReader& memory,
                                              const snapshot::ObjectGraph& graph);

}  // namespace memspy::heap
