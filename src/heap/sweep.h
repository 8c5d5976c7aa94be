// One pass over everything that has an address: pools, chunks, stacks, libraries' data, and what is
// left. Who claims a byte first keeps it: objects and their buffers by way of the block or chunk
// they lie in, then free memory of the allocators, then stacks and libraries, then the mapping.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "heap/claims.h"
#include "heap/ledger.h"
#include "heap/taken_ranges.h"

namespace memspy::heap {

// An arena of pymalloc, and how full it is.
struct ArenaUse {
  AddressRange range;
  std::uint64_t resident = 0, in_pools = 0;  // bytes
  std::uint64_t used = 0;                    // bytes of blocks in use
};

struct Sweep {
  std::vector<std::uint64_t> objects, buffers;  // bytes, by type (of the owner)
  KindBytes kinds{};
  std::vector<ArenaUse> arenas;
  std::uint64_t overdrawn = 0;                    // claimed beyond what is resident: swapped out
  std::string largest_unexplained, largest_file;  // "7f12…-7f34…", a path
  std::uint64_t largest_unexplained_bytes = 0, largest_file_bytes = 0;
  std::uint64_t stacks = 0;        // threads' stacks that were found
  std::uint64_t mapped_bytes = 0;  // resident, of all mappings

  std::uint64_t& operator[](Kind kind) { return kinds[static_cast<std::size_t>(kind)]; }
  std::uint64_t operator[](Kind kind) const { return kinds[static_cast<std::size_t>(kind)]; }
};

Sweep sweep_memory(const LedgerInput& input);

}  // namespace memspy::heap
