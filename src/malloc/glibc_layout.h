// What the structures of glibc's malloc look like, as data: 64-bit, 16-byte alignment. A layout is
// chosen by what memory shows, never by a version number alone: distributions patch, and a static
// program does not say its version.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace memspy::malloc {

inline constexpr std::uint64_t kAlignment = 16;
inline constexpr std::uint64_t kHeaderSize = 16;  // prev_size and size
inline constexpr std::uint64_t kMinChunk = 32;
inline constexpr std::uint64_t kPageSize = 4096;
// Low bits of a chunk's size.
inline constexpr std::uint64_t kPrevInUse = 1, kIsMmapped = 2, kSizeBits = 7;
// How far a chunk's fields lie from its address.
inline constexpr std::uint64_t kSizeField = 8, kForwardField = 16, kBackField = 24;

// struct malloc_state.
struct ArenaLayout {
  std::string_view versions;
  std::uint16_t fast_bins, fast_bin_count;  // count 0: there are none
  std::uint16_t top, bins, next, system_mem, size;
  // The size of a chunk with a mapping of its own leaves out so much of the mapping's end.
  std::uint16_t mmapped_tail;
};
inline constexpr unsigned kBins = 127;  // pairs of pointers in `bins`

std::span<const ArenaLayout> arena_layouts();

// struct tcache_perthread_struct. It lies in a chunk like any other, whose size tells the version.
struct ThreadCacheLayout {
  std::string_view versions;
  std::uint16_t chunk;       // bytes of the chunk that holds it
  std::uint8_t count_bytes;  // of one counter
  bool counts_used;          // chunks that are cached; false: places that are left
  std::uint8_t small_bins, large_bins;
  std::uint16_t entries;  // offset of the heads of the lists
};

std::span<const ThreadCacheLayout> thread_cache_layouts();

// A `next` pointer of a fast bin or a thread cache is xored with its own address by page (2.32).
inline std::uint64_t reveal(std::uint64_t position, std::uint64_t stored) {
  return position >> 12 ^ stored;
}

}  // namespace memspy::malloc
