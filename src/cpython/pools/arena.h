// pymalloc's arenas: the arrays that name them, and what stands in an entry.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "cpython/anchors.h"
#include "cpython/layout.h"
#include "memspy/memory_map.h"
#include "memspy/memory_reader.h"

namespace memspy::cpython {

struct Arena {
  RemoteAddr entry;  // in its array
  RemoteAddr start;
  std::uint64_t bytes = 0;
  RemoteAddr first_pool;     // aligned
  RemoteAddr uncut;          // pools from here on were never handed out
  RemoteAddr pool_list;      // of pools that were given back whole; 0: none
  bool next_in_use = false;  // the next pool that is needed comes from this one
};

// One entry of an array, as it is read; nullopt: of no arena.
std::optional<Arena> decode_arena(const Layout& layout, RemoteAddr entry,
                                  std::span<const std::byte> bytes);

struct ArenaTable {
  RemoteAddr first;  // 0: the build does not say where
  std::uint64_t count = 0;
};

// The array of this interpreter; up to 3.11 all have one, and a null interpreter will do.
Result<ArenaTable> arena_table(const MemoryReader& memory, const Layout& layout,
                               const Anchors& anchors, RemoteAddr interpreter);
// Those of all interpreters that can be read, each once. An error: interpreters cannot be listed.
Result<std::vector<ArenaTable>> arena_tables(const MemoryReader& memory, const Layout& layout,
                                             const Anchors& anchors);

struct ArenasRead {
  std::vector<Arena> arenas;
  std::uint64_t left_out = 0;  // not writable in the map: on their way in or out
  bool whole = false;          // every entry was there to be read
};

// What a table names now. The caller has capped its count.
ArenasRead read_arenas(const MemoryReader& memory, const MemoryMap& map, const Layout& layout,
                       const ArenaTable& table);

// Arenas come from mmap: private, anonymous, writable.
bool may_hold_arenas(const Mapping& mapping);

// Pools begin at multiples of their size.
inline RemoteAddr first_pool_at(RemoteAddr address, std::uint64_t pool_bytes) {
  return {(address.value + pool_bytes - 1) / pool_bytes * pool_bytes};
}

}  // namespace memspy::cpython
