// Chunks so large that malloc gave each a mapping of its own. No list leads to them, and the kernel
// merges neighbouring mappings into one line of maps: they are found by their headers, which stand
// at the beginning of a page.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "memspy/memory_map.h"
#include "memspy/memory_reader.h"
#include "memspy/symbol_source.h"

namespace memspy::malloc {

struct MmappedScan {
  const MemoryReader& memory;
  const MemoryMap& map;
  std::span<const AddressRange> resident;  // ascending; empty: not known
  std::uint64_t tail = 0;                  // ArenaLayout::mmapped_tail
  std::vector<AddressRange> taken = {};    // not looked at: known to be something else
};

struct MmappedChunk {
  std::uint64_t start = 0;  // of the mapping
  std::uint64_t chunk = 0;  // behind the mapping's start where an alignment was asked for
  std::uint64_t end = 0;
};

std::vector<MmappedChunk> find_mmapped_chunks(const MmappedScan& scan);

}  // namespace memspy::malloc
