// Free chunks that their neighbours call used: fast bins and the caches of threads. No symbol leads
// to a cache: it is recognised in the chunk that it lies in, by what its lists hold.
#pragma once

#include <cstdint>
#include <optional>

#include "malloc/arena_search.h"
#include "malloc/heap_walk.h"
#include "memspy/memory_reader.h"

namespace memspy::malloc {

struct FreeListStats {
  std::uint64_t fast_chunks = 0, cached_chunks = 0, caches = 0;
  std::uint64_t cached_bytes = 0;
  std::uint64_t rejected = 0;  // links that lead to no chunk
};

// Marks them free in the walk's chunks. `mangled`: are the links of lists xored with their places
// (2.32)? nullopt: not known, and whatever fits is taken.
FreeListStats mark_free_lists(const MemoryReader& memory, const FoundArenas& arenas,
                              std::optional<bool> mangled, HeapWalk& walk);

}  // namespace memspy::malloc
