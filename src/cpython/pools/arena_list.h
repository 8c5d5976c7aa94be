// pymalloc's arenas of a live process, read again and again: where the arrays are is looked for
// once.
#pragma once

#include <cstdint>
#include <vector>

#include "cpython/interpreter.h"
#include "cpython/pools/arena.h"

namespace memspy::cpython {

class ArenaList {
 public:
  // `resident`: reads only pages that are there; for the search that a file without symbols takes.
  // kUnsupported: pymalloc is not in use. kCorrupt: its arrays of arenas were not found.
  static Result<ArenaList> find(const Interpreter& interpreter, const MemoryReader& memory,
                                const MemoryReader& resident, const MemoryMap& map,
                                const SymbolSource& symbols);
  // At known variables: for tests, and where a look has found them before.
  explicit ArenaList(const Interpreter& interpreter) : interpreter_(interpreter) {}

  // What is there now. Arenas that `map` does not show as writable are left out: they are on their
  // way in or out.
  std::vector<Arena> read(const MemoryReader& memory, const MemoryMap& map) const;

 private:
  struct Table : ArenaTable {
    bool count_is_guess = false;
  };
  std::vector<Table> tables(const MemoryReader& memory) const;
  bool search(const MemoryReader& memory, const MemoryReader& resident, const MemoryMap& map,
              const SymbolSource& symbols);

  Interpreter interpreter_;
  RemoteAddr variable_;        // of a file without symbols: what points to the array
  std::uint32_t highest_ = 0;  // arena seen by the search
  bool saw_pools_ = false;
};

}  // namespace memspy::cpython
