// Where every byte of RSS is: each resident byte of each mapping is claimed once, by the smallest
// structure that explains it, and what nothing claims is a row of its own. The rows sum to RSS.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "attach/process_image.h"
#include "cpython/heap/heap_walker.h"
#include "malloc/malloc_census.h"
#include "memspy/memory_reader.h"
#include "memspy/symbol_source.h"
#include "snapshot/analysis.h"
#include "snapshot/snapshot.h"

namespace memspy::heap {

struct LedgerInput {
  std::uint64_t rss_bytes = 0;  // what the rows sum to; 0: the sum of the mappings
  const MemoryReader& memory;   // still
  const SymbolSource& symbols;
  const std::vector<attach::MappedPages>& pages;
  // Page by page, ascending; empty: not known, and mappings are taken as filled from their start.
  std::span<const AddressRange> resident;
  const malloc::MallocCensus& malloc;
  const snapshot::ObjectGraph& graph;
  const snapshot::Owners* owners = nullptr;  // who holds what pins memory; null: not named
  std::span<const cpython::HeapWalker::OwnedBuffer> buffers;  // in any order
  // pymalloc; empty and null when it is not in use.
  std::span<const AddressRange> arenas;
  std::function<void(const std::function<void(const cpython::HeapWalker::PoolView&)>&)> each_pool;
};

struct Ledger {
  std::vector<snapshot::LedgerRow> rows;
  // What the verdict reads, for Header::counters: "trimmable_bytes", "pinned_bytes"…
  std::vector<std::pair<std::string, double>> counters;
};

struct Sweep;  // sweep.h: the passes over memory, which need no owners
Ledger build_ledger(const LedgerInput& input, Sweep sweep);
Ledger build_ledger(const LedgerInput& input);

// The largest types and their buffers have rows of their own; so many of each.
inline constexpr std::size_t kNamedTypes = 8;

// Rows by their first words, for who sums them up.
inline constexpr std::string_view kLiveRow = "live objects: ";
inline constexpr std::string_view kBuffersRow = "buffers of ";
inline constexpr std::string_view kPoolOtherRow = "pymalloc blocks of native code";
inline constexpr std::string_view kPoolFreeRow = "pymalloc free blocks";
inline constexpr std::string_view kPoolEmptyRow = "pymalloc free pools";
inline constexpr std::string_view kPoolHeaderRow = "pymalloc headers";
// By arena: "malloc live, main arena"; a chunk with a mapping of its own is never free.
inline constexpr std::string_view kMallocLiveRow = "malloc live, ";
inline constexpr std::string_view kMallocFreeRow = "malloc free";
inline constexpr std::string_view kMallocLiveMainRow = "malloc live, main arena";
inline constexpr std::string_view kMallocLiveThreadsRow = "malloc live, thread arenas";
inline constexpr std::string_view kMallocLiveMappedRow = "malloc live, mapped chunks";
inline constexpr std::string_view kMallocFreeMainRow = "malloc free, main arena";
inline constexpr std::string_view kMallocFreeThreadsRow = "malloc free, thread arenas";
inline constexpr std::string_view kMallocHeaderRow = "malloc headers";
// Behind the name of an allocator that was recognised and is not walked: "jemalloc, live and free".
inline constexpr std::string_view kAllocatorRow = ", live and free";
inline constexpr std::string_view kDataRow = "data of interpreter and libraries";
inline constexpr std::string_view kCodeRow = "code and read-only files";
inline constexpr std::string_view kFilesRow = "mapped files";
inline constexpr std::string_view kStacksRow = "stacks";
inline constexpr std::string_view kSharedRow = "shared memory";
inline constexpr std::string_view kHugeRow = "huge-page slack";
inline constexpr std::string_view kAnonymousRow = "other anonymous";
inline constexpr std::string_view kUnexplainedRow = "unexplained";

}  // namespace memspy::heap
