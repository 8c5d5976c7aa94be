// pymalloc's array of arenas. Up to 3.11 a static variable leads to it, which has no name in a
// stripped file; but pools say which arena they belong to, and that is what the array must show.
#pragma once

#include <optional>
#include <vector>

#include "cpython/heap/heap_bytes.h"
#include "cpython/heap/heap_walker.h"

namespace memspy::cpython {

struct Pool;

struct ArenaTable {
  RemoteAddr first;
  std::uint64_t count = 0;
};

// By pools that a scan found. nullopt: nothing in the data of a module leads to an array that fits
// nearly all of them.
std::optional<ArenaTable> find_arena_table(const HeapInput& input, HeapBytes& bytes,
                                           const std::vector<Pool>& pools);

}  // namespace memspy::cpython
