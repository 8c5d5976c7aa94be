// glibc's heaps chunk by chunk: the brk heap and other pieces of the main arena, the heaps of the
// thread arenas, and chunks with mappings of their own.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "malloc/arena_search.h"
#include "malloc/chunk_store.h"
#include "malloc/window.h"
#include "memspy/memory_map.h"
#include "memspy/memory_reader.h"

namespace memspy::malloc {

// [start, end) belongs to malloc.
struct HeapPiece {
  std::uint64_t start = 0, end = 0;
  std::string name;
};

struct HeapWalk {
  ChunkStore chunks;
  std::vector<HeapPiece> pieces;
  // Chunks in use whose size is that of a thread cache.
  std::vector<std::uint64_t> cache_candidates;
  std::vector<std::uint64_t> tops;  // the chunk at the end of each arena
  std::uint64_t overhead_bytes = 0, mmapped_bytes = 0, mmapped_chunks = 0;
  std::uint64_t rejected = 0;
};

struct WalkInput {
  const MemoryReader& memory;
  const MemoryMap& map;
  const FoundArenas& arenas;
  std::span<const AddressRange> resident;  // ascending; empty: not known
};

HeapWalk walk_heaps(const WalkInput& input);

}  // namespace memspy::malloc
