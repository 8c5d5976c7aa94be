// The table of keys of a dict, in every version's shape.
#pragma once

#include <cstdint>
#include <optional>

#include "cpython/heap/heap_bytes.h"
#include "cpython/layout.h"

namespace memspy::cpython {

struct KeyTable {
  RemoteAddr address;
  std::uint64_t refcount = 0;
  std::uint64_t slots = 0;     // of the hash index
  std::uint64_t capacity = 0;  // entries that fit
  std::uint64_t used = 0;      // entries ever filled
  std::uint64_t usable = 0;    // entries still free
  std::uint64_t bytes = 0;     // header, index and entries
  bool split = false;          // shared by instances; values are elsewhere (3.11+ says so itself)
};

// nullopt: these bytes contradict themselves.
std::optional<KeyTable> read_key_table(const Layout& layout, HeapBytes& bytes, RemoteAddr keys);

}  // namespace memspy::cpython
