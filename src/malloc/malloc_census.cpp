#include "malloc/malloc_census.h"

#include <algorithm>

#include <spdlog/fmt/fmt.h>

#include "malloc/allocator_names.h"
#include "malloc/arena_search.h"
#include "malloc/free_lists.h"
#include "malloc/glibc_layout.h"
#include "malloc/heap_walk.h"
#include "base/page_cursor.h"

namespace memspy::malloc {
namespace {

// malloc_trim() gives back the whole pages of a free chunk behind its list pointers.
constexpr std::uint64_t kListPointers = 48;
constexpr std::pair<int, int> kMangledSince{2, 32};

std::uint64_t page_up(std::uint64_t address) {
  return (address + kPageSize - 1) & ~(kPageSize - 1);
}

void sum_chunks(const HeapWalk& walk, std::span<const AddressRange> resident,
                MallocTotals& totals) {
  PageCursor pages(resident);
  totals.chunks = walk.chunks.count();
  walk.chunks.for_each([&](std::size_t index) {
    const std::uint64_t bytes = walk.chunks.bytes(index);
    if (walk.chunks.in_use(index)) {
      totals.live_bytes += bytes;
      return;
    }
    totals.free_bytes += bytes;
    const std::uint64_t chunk = walk.chunks.chunk(index);
    const std::uint64_t first = page_up(chunk + kListPointers);
    const std::uint64_t end = (chunk + bytes) & ~(kPageSize - 1);
    if (end > first)
      totals.trimmable_bytes += resident.empty() ? end - first : pages.bytes(first, end);
  });
}

}  // namespace

MallocCensus MallocCensus::take(const MemoryReader& memory, const MemoryMap& map,
                                const SymbolSource& symbols,
                                std::span<const AddressRange> resident) {
  MallocCensus census;
  MallocTotals& totals = census.totals_;
  const AllocatorName other = name_allocator(symbols);
  if (!other.name.empty()) totals.evidence.push_back(other.evidence);
  totals.allocator = other.name.empty() ? "unknown" : other.name;
  const auto arenas = find_arenas(memory, map, symbols);
  if (!arenas) {
    totals.evidence.emplace_back("no main arena of glibc found");
    return census;
  }
  const auto version = glibc_version(memory, map, arenas->file);
  const std::string glibc = version ? fmt::format("glibc {}.{}", version->first, version->second)
                                    : fmt::format("glibc {}", arenas->layout->versions);
  totals.evidence.push_back(fmt::format("{}: main arena of {} at {:#x}, {}", glibc, arenas->file,
                                        arenas->main.value, arenas->how));
  if (other.name.empty()) {
    totals.allocator = glibc;
    totals.walked = true;
  }
  HeapWalk walk = walk_heaps({memory, map, *arenas, resident});
  const FreeListStats lists = mark_free_lists(
      memory, *arenas, version ? std::optional(*version >= kMangledSince) : std::nullopt, walk);
  totals.evidence.push_back(fmt::format("{} thread caches hold {} chunks, fast bins {}",
                                        lists.caches, lists.cached_chunks, lists.fast_chunks));
  totals.arenas = 1 + arenas->threads.size();
  totals.overhead_bytes = walk.overhead_bytes;
  totals.mmapped_bytes = walk.mmapped_bytes;
  totals.mmapped_chunks = walk.mmapped_chunks;
  totals.cached_bytes = lists.cached_bytes;
  totals.rejected = walk.rejected + lists.rejected;
  sum_chunks(walk, resident, totals);
  for (HeapPiece& piece : walk.pieces) {
    census.ranges_.push_back({{piece.start}, {piece.end}, std::move(piece.name)});
  }
  census.chunks_ = std::move(walk.chunks);
  return census;
}

std::optional<std::uint64_t> MallocCensus::chunk_bytes(RemoteAddr address) const {
  if (address.value < kHeaderSize) return std::nullopt;
  const auto index = chunks_.find(address.value - kHeaderSize);
  if (!index || !chunks_.in_use(*index)) return std::nullopt;
  return chunks_.bytes(*index);
}

std::optional<MallocChunk> MallocCensus::chunk_of(RemoteAddr address) const {
  const auto index = chunks_.find_holder(address.value);
  if (!index) return std::nullopt;
  return MallocChunk{{chunks_.chunk(*index)}, chunks_.bytes(*index), chunks_.in_use(*index)};
}

void MallocCensus::for_each_chunk(
    const std::function<void(RemoteAddr, std::uint64_t, bool)>& visit) const {
  chunks_.for_each([&](std::size_t index) {
    visit({chunks_.chunk(index) + kHeaderSize}, chunks_.bytes(index), chunks_.in_use(index));
  });
}

}  // namespace memspy::malloc
