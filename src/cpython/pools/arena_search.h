// pymalloc's array of arenas in a file without symbols. Up to 3.11 a static variable leads to it,
// which has no name there; but pools say which arena they belong to, and that is what the array
// must show.
#pragma once

#include <cstdint>
#include <map>

#include "cpython/layout.h"
#include "memspy/memory_map.h"
#include "memspy/memory_reader.h"
#include "memspy/symbol_source.h"

namespace memspy::cpython {

// The pools of an arena that were seen: the arena begins at the first or before it.
struct ArenaSpan {
  std::uint64_t first = UINT64_MAX, end = 0;
  void widen(RemoteAddr pool, std::uint64_t pool_bytes);
};
using ArenaSpans = std::map<std::uint32_t, ArenaSpan>;  // by the number that pools give

// The variable. Null: nothing in the data of a module leads to an array that fits nearly all spans.
RemoteAddr find_arena_variable(const Layout& layout, const MemoryReader& memory,
                               const MemoryMap& map, const SymbolSource& symbols,
                               const ArenaSpans& spans);

}  // namespace memspy::cpython
