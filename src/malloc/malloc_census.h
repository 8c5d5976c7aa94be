// What the C library's malloc holds, from a still copy of memory: glibc's main arena, its thread
// arenas, mmapped chunks, free lists and thread caches. Other allocators are recognised and named.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "malloc/chunk_store.h"
#include "memspy/memory_map.h"
#include "memspy/memory_reader.h"
#include "memspy/symbol_source.h"

namespace memspy::malloc {

struct MallocTotals {
  std::string allocator;  // "glibc 2.36", "jemalloc", "tcmalloc", "mimalloc", "musl", "unknown"
  bool walked = false;    // chunk by chunk; false: named only, its memory is not told apart
  std::uint64_t arenas = 0, chunks = 0;
  std::uint64_t live_bytes = 0;  // chunks in use, headers included
  std::uint64_t free_bytes = 0;  // free chunks: bins, fast bins, thread caches, top
  std::uint64_t trimmable_bytes =
      0;  // of free, whole resident pages that malloc_trim would give back
  std::uint64_t overhead_bytes = 0;  // arena headers, and what alignment skips
  std::uint64_t mmapped_bytes = 0;   // of live, chunks with a mapping of their own
  std::uint64_t mmapped_chunks = 0;
  std::uint64_t cached_bytes = 0;     // of free, in the caches of threads
  std::uint64_t rejected = 0;         // chunks that contradict their neighbours
  std::vector<std::string> evidence;  // how it was found, for -v
};

// One heap's memory: [start, end) is malloc's, whatever is in it.
struct MallocRange {
  RemoteAddr start, end;
  std::string heap;  // "main arena", "thread arena 2", "mmapped"
};

// One chunk: [address, address + bytes) with its header; what malloc() returned is 16 bytes in.
struct MallocChunk {
  RemoteAddr address;
  std::uint64_t bytes = 0;
  bool in_use = false;
};

// Immutable; any number of threads may ask.
class MallocCensus {
 public:
  // Never fails: what cannot be told is said in the totals. `resident`, ascending: the pages that
  // are there; empty: not known, and trimmable_bytes counts every whole page in free chunks.
  static MallocCensus take(const MemoryReader& memory, const MemoryMap& map,
                           const SymbolSource& symbols,
                           std::span<const AddressRange> resident = {});

  const MallocTotals& totals() const { return totals_; }
  const std::vector<MallocRange>& ranges() const { return ranges_; }  // ascending
  // The bytes of the chunk whose user part begins at `address`, header included; nullopt when there
  // is no such chunk in use. About 50 ns.
  std::optional<std::uint64_t> chunk_bytes(RemoteAddr address) const;
  // The chunk that holds `address`, in use or not.
  std::optional<MallocChunk> chunk_of(RemoteAddr address) const;
  // Every chunk, ascending: user address, bytes with header, in use.
  void for_each_chunk(const std::function<void(RemoteAddr, std::uint64_t, bool)>& visit) const;

 private:
  MallocTotals totals_;
  std::vector<MallocRange> ranges_;
  ChunkStore chunks_;
};

}  // namespace memspy::malloc
