// The collector's state, and the search for its generations where a build moved them.
#pragma once

#include <vector>

#include "cpython/interpreter.h"
#include "cpython/runtime_walk.h"

namespace memspy::cpython {

// The start of the collector's state of one interpreter; null where it is in static variables.
RemoteAddr gc_base(const Layout& layout, const Anchors& anchors, RemoteAddr interpreter);

bool read_collecting(const MemoryReader& memory, const Layout& layout, const Anchors& anchors,
                     RemoteAddr interpreter);

enum class GcCheck {
  kConfirmed,  // three lists that hold together, as the layout says or as found nearby
  kUnknown,    // a collection is under way; the layout is kept as it is
  kRefuted,    // the lists are not there
};
// Neither versions nor debug offsets tell where the generations are (3.13.0: gc+0x18, 3.13.18 of
// Debian: gc+0x14). Three list heads that point to themselves or to objects and back are proof;
// `layout` is corrected when they are found elsewhere in the collector's state.
GcCheck confirm_generations(const MemoryReader& memory, const Anchors& anchors,
                            RemoteAddr interpreter, Layout& layout);

Result<std::vector<GcState>> read_gc_states(const MemoryReader& memory, const Layout& layout,
                                            const Anchors& anchors);

}  // namespace memspy::cpython
