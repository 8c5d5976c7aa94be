// Every object of a CPython heap, what it costs, and what it refers to, from a still copy of the
// memory. Three ways of finding objects check each other: pymalloc's pools block by block, the
// collector's lists, and references followed from what the two and the roots gave. A stop often
// lands inside a collection, when the lists are in pieces: pools and edges are what counts then.
//
// Bytes are hostile: what contradicts itself is counted in WalkStats, never followed.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "cpython/interpreter.h"
#include "memspy/memory_map.h"
#include "memspy/memory_reader.h"
#include "memspy/object_visitor.h"
#include "memspy/symbol_source.h"

namespace memspy::cpython {

// Where a block of malloc that holds an object or its buffer ends is malloc's business: the walk
// asks. nullopt: not known, and the size is computed.
class BlockSizes {
 public:
  virtual ~BlockSizes() = default;
  virtual std::optional<std::uint64_t> usable_size(RemoteAddr block) const = 0;
};

struct HeapInput {
  const Interpreter& interpreter;
  const MemoryReader&
      memory;  // still: a copy or a core file, with view(); read-only parts may be live
  const MemoryMap& map;
  const SymbolSource& symbols;
  const BlockSizes* malloc_blocks = nullptr;
};

// pymalloc, byte by byte: the sum is the arenas' bytes.
struct PymallocBytes {
  std::uint64_t arenas = 0, pools = 0, used_blocks = 0;
  std::uint64_t live_objects = 0;  // blocks that are objects
  std::uint64_t owned_blocks = 0;  // blocks that belong to an object: key tables, items…
  std::uint64_t other_blocks = 0;  // in use, by nobody that was found
  std::uint64_t free_blocks = 0;   // within pools in use
  std::uint64_t free_pools = 0;    // whole pools without a block, and alignment of arenas
  std::uint64_t headers = 0;       // pool headers and the odd bytes behind the last block
};

struct WalkStats {
  std::uint64_t objects = 0, from_pools = 0, from_lists = 0, from_edges = 0;
  std::uint64_t gc_listed = 0;                     // entries on the collector's lists
  std::uint64_t listed_not_found = 0;              // on a list, not among the pools' objects
  std::uint64_t rejected = 0, rejected_bytes = 0;  // contradicted themselves
  std::uint64_t edges = 0, dangling = 0;           // pointers to nothing that is an object
  bool collecting = false;                         // a collection was under way
  PymallocBytes pymalloc;
  // Per type name: objects, and how their edges were found ("dict rule", "members", "scan").
  std::map<std::string, std::pair<std::uint64_t, std::string>> coverage;
};

class HeapWalker {
 public:
  explicit HeapWalker(const HeapInput& input);
  ~HeapWalker();

  // Census, edges, roots, in the visitor's order. Reads nothing but the input.
  Result<WalkStats> walk(ObjectVisitor& visitor);

  // After walk(): an object's address to its node; kNoNode when it was not found.
  NodeIndex find(RemoteAddr address) const;
  // After walk(), of an object and its type as told: a str, bytes, int, float, bool or None as
  // Python prints it, cut at `cap` characters; "" for other objects.
  std::string text_of(RemoteAddr object, TypeIndex type, std::size_t cap) const;
  // After walk(): sys.getsizeof() of an object, for comparisons; HeapNode::bytes is what it costs.
  std::uint64_t getsizeof(RemoteAddr object) const;
  // After walk(): memory that an object owns outside itself (a list's items, a table, a buffer),
  // for the ledger: each range once, ascending.
  struct OwnedBuffer {
    RemoteAddr address;
    std::uint64_t bytes = 0;
    NodeIndex owner;
  };
  std::span<const OwnedBuffer> owned_buffers() const;
  // What the visitor was told is known there; this gives 14 bytes an object back here. find() and
  // getsizeof() know nothing from then on.
  void forget_objects();

  // After walk(), for the ledger: pymalloc's arenas, ascending, and the pools in use within them.
  std::vector<AddressRange> arenas() const;
  struct PoolView {
    RemoteAddr address;
    std::uint32_t bytes = 0;        // of the pool
    std::uint32_t first_block = 0;  // where the first block begins
    std::uint32_t block_bytes = 0;
    // A bit per block, the lowest first: in use, whether an object was found in it or not.
    std::span<const std::uint64_t> used;
  };
  void for_each_pool(const std::function<void(const PoolView&)>& visit) const;  // ascending
  // Gives back what only the ledger asks for: buffers and pools.
  void forget_memory();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace memspy::cpython
