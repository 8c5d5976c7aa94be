// The local variables of a frame, by name, with bounded representations. For `dump`: reads as much
// as it needs, one object after another.
#pragma once

#include <cstddef>
#include <vector>

#include "cpython/layout.h"
#include "cpython/stack_reader.h"
#include "memspy/memory_reader.h"

namespace memspy::cpython {

// In the order of the code object: arguments, other locals, cells, free variables. Unbound ones and
// those the compiler made up are left out.
Result<std::vector<LocalVariable>> read_locals(const Layout& layout, const MemoryReader& memory,
                                               RemoteAddr frame, std::size_t repr_cap);

}  // namespace memspy::cpython
