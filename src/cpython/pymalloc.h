// What pymalloc holds: through its array of arenas where that is known, else by looking for pool
// headers in anonymous memory.
#pragma once

#include "cpython/anchors.h"
#include "cpython/interpreter.h"

namespace memspy::cpython {

Result<PymallocState> read_pymalloc(const MemoryReader& memory, const MemoryMap& map,
                                    const Layout& layout, const Anchors& anchors);

}  // namespace memspy::cpython
