// Where is glibc's main arena? Its symbol is local and seldom there, but its bytes tell: an empty
// bin points to itself, the others lead to chunks that point back, and the arenas form a circle.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "malloc/glibc_layout.h"
#include "memspy/memory_map.h"
#include "memspy/memory_reader.h"
#include "memspy/symbol_source.h"

namespace memspy::malloc {

struct FoundArenas {
  const ArenaLayout* layout = nullptr;
  RemoteAddr main;
  std::vector<RemoteAddr> threads;  // the other arenas of the circle
  std::string file, how;            // for a person
};

// An arena of this layout whose bins and top are consistent: bytes are hostile, and may stand in
// the middle of a change.
bool is_arena(const MemoryReader& memory, const MemoryMap& map, RemoteAddr at,
              const ArenaLayout& layout);

std::optional<FoundArenas> find_arenas(const MemoryReader& memory, const MemoryMap& map,
                                       const SymbolSource& symbols);

}  // namespace memspy::malloc
