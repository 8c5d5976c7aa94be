// CPython's internal hash table (_Py_hashtable_t), which tracemalloc's tables are made of. Every
// pointer and count in it is hostile: walks are bounded by what the table itself claims and by its
// own hashes, and a chain that runs in a ring or into another one is cut and counted. Source of
// fact: Python/hashtable.c (Modules/hashtable.c up to 3.8).
#pragma once

#include <cstdint>
#include <functional>
#include <optional>

#include "cpython/heap/heap_bytes.h"
#include "cpython/layout.h"
#include "memspy/address.h"

namespace memspy::cpython {

struct HashTable {
  RemoteAddr address;
  std::uint64_t count = 0;    // entries that it says it has
  std::uint64_t buckets = 0;  // a power of two
  RemoteAddr first_bucket;    // an array of heads of chains
  RemoteAddr hash, compare;   // functions
  // HashtableKind::kInlineEntries: bytes of the key and of the data in each entry; else 0.
  std::uint32_t key_bytes = 0, data_bytes = 0;
};

struct HashEntry {
  std::uint64_t key = 0;
  std::uint32_t domain = 0;  // of a longer inline key; else 0
  RemoteAddr data;           // what the entry leads to, inside it or outside; 0: none
};

struct HashWalk {
  std::uint64_t entries = 0;        // visited
  std::uint64_t broken_chains = 0;  // cut where they contradict themselves
  bool cut = false;                 // `visit` had enough, or more entries than the table counts
};

// nullopt: no table of this layout is there. `memory_bytes`: of all memory that the target can
// write; no array of buckets is larger.
std::optional<HashTable> read_hash_table(HeapBytes& bytes, const Layout& layout, RemoteAddr address,
                                         std::uint64_t memory_bytes);

// Every entry of every chain; `visit` returns false to stop.
HashWalk walk_hash_table(HeapBytes& bytes, const Layout& layout, const HashTable& table,
                         const std::function<bool(const HashEntry&)>& visit);

}  // namespace memspy::cpython
