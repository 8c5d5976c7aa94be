// 2 MiB of address space: what one huge page maps, and the unit in which pages are accounted for.
#pragma once

#include <cstddef>
#include <cstdint>

#include "memspy/address.h"

namespace memspy::sampler {

inline constexpr std::uint64_t kPageBytes = 4096;
inline constexpr std::size_t kChunkPages = 512;
inline constexpr std::uint64_t kChunkBytes = kChunkPages * kPageBytes;

using ChunkIndex = std::uint64_t;
inline constexpr ChunkIndex kNoChunk = 0;  // nothing is mapped at address 0

constexpr ChunkIndex chunk_of(RemoteAddr page) { return page.value / kChunkBytes; }
constexpr RemoteAddr start_of(ChunkIndex chunk) { return {chunk * kChunkBytes}; }
// Faults at one chunk's start and then at the next one's: of huge pages.
constexpr bool is_next_chunk(RemoteAddr before, RemoteAddr now) {
  return start_of(chunk_of(now)) == now && now.value - before.value == kChunkBytes;
}

}  // namespace memspy::sampler
