#include "malloc/glibc_layout.h"

namespace memspy::malloc {

std::span<const ArenaLayout> arena_layouts() {
  static constexpr ArenaLayout kLayouts[] = {
      {.versions = "2.27 to 2.42",
       .fast_bins = 16,
       .fast_bin_count = 10,
       .top = 96,
       .bins = 112,
       .next = 2160,
       .system_mem = 2184,
       .size = 2200,
       .mmapped_tail = 0},
      {.versions = "2.43",
       .fast_bins = 0,
       .fast_bin_count = 0,
       .top = 8,
       .bins = 24,
       .next = 2072,
       .system_mem = 2096,
       .size = 2112,
       .mmapped_tail = 16},
      // have_fastchunks was a bit of `flags`.
      {.versions = "2.23 to 2.26",
       .fast_bins = 8,
       .fast_bin_count = 10,
       .top = 88,
       .bins = 104,
       .next = 2152,
       .system_mem = 2176,
       .size = 2192,
       .mmapped_tail = 0},
  };
  return kLayouts;
}

std::span<const ThreadCacheLayout> thread_cache_layouts() {
  static constexpr ThreadCacheLayout kLayouts[] = {
      {.versions = "2.26 to 2.29",
       .chunk = 0x250,
       .count_bytes = 1,
       .counts_used = true,
       .small_bins = 64,
       .large_bins = 0,
       .entries = 64},
      {.versions = "2.30 to 2.41",
       .chunk = 0x290,
       .count_bytes = 2,
       .counts_used = true,
       .small_bins = 64,
       .large_bins = 0,
       .entries = 128},
      {.versions = "2.42 and later",
       .chunk = 0x300,
       .count_bytes = 2,
       .counts_used = false,
       .small_bins = 64,
       .large_bins = 12,
       .entries = 152},
  };
  return kLayouts;
}

}  // namespace memspy::malloc
