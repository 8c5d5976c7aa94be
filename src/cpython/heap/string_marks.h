// By what strings are told apart where their contents may not be told: length, and a hash that says
// nothing to who has not its key. Equal texts have equal marks.
#pragma once

#include <cstdint>
#include <optional>

#include "base/keyed_hash.h"
#include "cpython/heap/heap_bytes.h"
#include "cpython/layout.h"

namespace memspy::cpython {

// One object per thread.
class StringMarker {
 public:
  struct Mark {
    std::uint64_t length = 0;  // characters
    std::uint64_t hash = 0;
  };
  // Reads no more than `budget` bytes of characters all together: strings that claim to be larger
  // than the memory they lie in are not read again and again.
  StringMarker(const Layout& layout, const MemoryReader& memory, const HashKey& key,
               std::uint64_t budget);

  // nullopt: no string that can be read, or the budget is spent.
  std::optional<Mark> mark_of(RemoteAddr string);

 private:
  const Layout& layout_;
  HeapBytes heads_, texts_;
  HashKey key_;
  std::uint64_t budget_;
};

}  // namespace memspy::cpython
