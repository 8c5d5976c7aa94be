// The stacks of threads, found in memory alone: glibc keeps a thread's descriptor at the top of its
// stack, where it points to itself and says where the stack begins. Cached stacks of threads that
// have ended are found as well.
#pragma once

#include <span>
#include <vector>

#include "memspy/memory_reader.h"
#include "memspy/symbol_source.h"

namespace memspy::heap {

struct ThreadBlock {
  AddressRange stack;  // guard included; size 0: of the main thread, whose stack is [stack]
  RemoteAddr descriptor;
};

// Looks at the given pieces of memory only; a descriptor elsewhere is not found.
std::vector<ThreadBlock> find_thread_blocks(const MemoryReader& memory,
                                            std::span<const AddressRange> pieces);

}  // namespace memspy::heap
