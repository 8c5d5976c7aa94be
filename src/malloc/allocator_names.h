// Which allocator serves malloc() in this process, by the files mapped into it and what they
// export.
#pragma once

#include <optional>
#include <string>
#include <utility>

#include "memspy/memory_map.h"
#include "memspy/memory_reader.h"
#include "memspy/symbol_source.h"

namespace memspy::malloc {

struct AllocatorName {
  std::string name;      // "jemalloc", "tcmalloc", "mimalloc", "musl"…; "" for glibc's own
  std::string evidence;  // "libjemalloc.so.2 is mapped"
};

AllocatorName name_allocator(const SymbolSource& symbols);

// The version that the C library says of itself: {2, 36}. nullopt: no such text in its memory.
std::optional<std::pair<int, int>> glibc_version(const MemoryReader& memory, const MemoryMap& map,
                                                 const std::string& file);

}  // namespace memspy::malloc
