#include "malloc/free_lists.h"

#include <bit>
#include <vector>

#include "malloc/window.h"

namespace memspy::malloc {
namespace {

constexpr std::size_t kMaxUncounted = 1 << 16;  // in one bin of a cache that does not say how many

class Marker {
 public:
  Marker(const MemoryReader& memory, HeapWalk& walk) : window_(memory, 1024), walk_(walk) {}

  void fast_bins(std::uint64_t arena, const ArenaLayout& layout, std::optional<bool> mangled);
  void cache(std::uint64_t chunk, std::optional<bool> mangled);
  FreeListStats stats;

 private:
  // Free chunks behind `head`, the address of a user part; false when the list is none.
  bool follow(std::uint64_t head, const ThreadCacheLayout& layout, unsigned bin, bool mangled,
              std::size_t limit, std::vector<std::size_t>& found);
  bool read_cache(std::uint64_t chunk, const ThreadCacheLayout& layout, bool mangled,
                  std::vector<std::size_t>& found);

  Window window_;
  HeapWalk& walk_;
};

void Marker::fast_bins(std::uint64_t arena, const ArenaLayout& layout,
                       std::optional<bool> mangled) {
  for (unsigned bin = 0; bin < layout.fast_bin_count; ++bin) {
    const std::uint64_t size = kMinChunk + bin * kAlignment;
    std::uint64_t at = window_.word(arena + layout.fast_bins + bin * 8).value_or(0);
    while (at != 0) {
      const auto chunk = walk_.chunks.find(at);
      // One that is free already: a circle.
      if (!chunk || walk_.chunks.bytes(*chunk) != size || !walk_.chunks.in_use(*chunk)) {
        ++stats.rejected;
        break;
      }
      walk_.chunks.set_free(*chunk);
      ++stats.fast_chunks;
      const std::uint64_t link = at + kForwardField;
      const std::uint64_t stored = window_.word(link).value_or(0);
      const std::uint64_t clear = reveal(link, stored);
      at = mangled.value_or(clear == 0 || walk_.chunks.find(clear)) ? clear : stored;
    }
  }
}

// Large bins of a cache hold sizes by powers of two, from the first that no small bin has.
bool size_fits(const ThreadCacheLayout& layout, unsigned bin, std::uint64_t size) {
  if (bin < layout.small_bins) return size == kMinChunk + bin * kAlignment;
  const std::uint64_t smallest = kMinChunk + layout.small_bins * kAlignment;
  const std::uint64_t power = std::bit_floor(smallest) << (bin - layout.small_bins);
  return size >= smallest && size >= power && size < power * 2;
}

bool Marker::follow(std::uint64_t head, const ThreadCacheLayout& layout, unsigned bin, bool mangled,
                    std::size_t limit, std::vector<std::size_t>& found) {
  std::size_t length = 0;
  for (std::uint64_t at = head; at != 0; ++length) {
    if (length > limit || at < kHeaderSize) return false;
    const auto chunk = walk_.chunks.find(at - kHeaderSize);
    if (!chunk || !walk_.chunks.in_use(*chunk) ||
        !size_fits(layout, bin, walk_.chunks.bytes(*chunk))) {
      return false;
    }
    found.push_back(*chunk);
    const auto stored = window_.word(at);
    if (!stored) return false;
    at = mangled ? reveal(at, *stored) : *stored;
  }
  return true;
}

bool Marker::read_cache(std::uint64_t chunk, const ThreadCacheLayout& layout, bool mangled,
                        std::vector<std::size_t>& found) {
  const std::uint64_t user = chunk + kHeaderSize;
  const std::size_t bins = layout.small_bins + layout.large_bins;
  const std::size_t length = layout.entries + bins * 8;
  const auto view = window_.bytes(user, length);
  if (view.size() < length) return false;
  const std::vector<std::byte> bytes(view.begin(), view.begin() + length);
  for (unsigned bin = 0; bin < bins; ++bin) {
    std::uint64_t head = 0;
    std::uint16_t count = 0;
    std::memcpy(&head, bytes.data() + layout.entries + bin * 8, sizeof(head));
    std::memcpy(&count, bytes.data() + bin * layout.count_bytes, layout.count_bytes);
    const std::size_t before = found.size();
    // A thread may stand between a list and its counter.
    const std::size_t limit = layout.counts_used ? count + 1U : kMaxUncounted;
    if (!follow(head, layout, bin, mangled, limit, found)) return false;
    if (layout.counts_used && found.size() - before + 1 < count) return false;
  }
  return true;
}

void Marker::cache(std::uint64_t chunk, std::optional<bool> mangled) {
  const auto holder = walk_.chunks.find(chunk);
  if (!holder) return;
  for (const ThreadCacheLayout& layout : thread_cache_layouts()) {
    if (layout.chunk != walk_.chunks.bytes(*holder)) continue;
    for (const bool links : {true, false}) {
      if (mangled && *mangled != links) continue;
      std::vector<std::size_t> found;
      if (!read_cache(chunk, layout, links, found) || found.empty()) continue;
      ++stats.caches;
      for (const std::size_t index : found) {
        walk_.chunks.set_free(index);
        stats.cached_bytes += walk_.chunks.bytes(index);
      }
      stats.cached_chunks += found.size();
      return;
    }
  }
}

}  // namespace

FreeListStats mark_free_lists(const MemoryReader& memory, const FoundArenas& arenas,
                              std::optional<bool> mangled, HeapWalk& walk) {
  Marker marker(memory, walk);
  marker.fast_bins(arenas.main.value, *arenas.layout, mangled);
  for (const RemoteAddr arena : arenas.threads) {
    marker.fast_bins(arena.value, *arenas.layout, mangled);
  }
  for (const std::uint64_t chunk : walk.cache_candidates) marker.cache(chunk, mangled);
  return marker.stats;
}

}  // namespace memspy::malloc
