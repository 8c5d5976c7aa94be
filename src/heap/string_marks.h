// Marks of all strings of a heap: which of them say the same, without what they say.
#pragma once

#include <cstdint>
#include <vector>

#include "cpython/layout.h"
#include "memspy/memory_reader.h"
#include "memspy/result.h"
#include "snapshot/object_graph.h"
#include "snapshot/snapshot.h"

namespace memspy::heap {

struct StringMarks {
  std::vector<snapshot::StringMark> marks;  // ascending by node
  std::uint64_t without = 0;                // strings that could not be read
};

// Their key is made anew and forgotten: marks of two calls do not compare. `memory`: as for a walk,
// viewed by several threads. `bytes`: how much of it there is; no thread reads more than that,
// whatever strings claim to be.
Result<StringMarks> mark_strings(const cpython::Layout& layout, const MemoryReader& memory,
                                 const snapshot::ObjectGraph& graph, std::uint64_t bytes);

}  // namespace memspy::heap
