// What a mapping is when nothing inside it says more.
#pragma once

#include <string>
#include <unordered_set>

#include "heap/claims.h"
#include "memspy/memory_map.h"
#include "memspy/symbol_source.h"

namespace memspy::heap {

class MappingKinds {
 public:
  explicit MappingKinds(const SymbolSource& symbols);
  Kind of(const Mapping& mapping) const;

 private:
  std::unordered_set<std::string> libraries_;  // paths of ELF files
};

}  // namespace memspy::heap
