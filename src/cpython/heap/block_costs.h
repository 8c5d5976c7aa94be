// What memory costs by the block it lies in: pymalloc's, malloc's, or nobody's (static data). Marks
// the blocks of pools that belong to an object, so that in the end each is accounted for once.
#pragma once

#include <cstdint>

#include "cpython/heap/heap_census.h"

namespace memspy::cpython {

class BlockCosts {
 public:
  BlockCosts(const HeapInput& input, HeapCensus& census) : input_(input), census_(census) {}

  // Of an object itself, whose block begins `head` bytes before it. 0, and counted as rejected,
  // when it says to be larger than the memory it lies in.
  std::uint64_t of_object(RemoteAddr object, std::uint32_t head, std::uint64_t computed);
  // Of memory that an object owns, likewise. 0 also when someone was charged with it already, or it
  // is an object.
  std::uint64_t of_owned(RemoteAddr address, std::uint64_t computed);
  // The whole block that holds `address`: its first byte and its size.
  AddressRange block_of(RemoteAddr address, std::uint64_t computed) const;

 private:
  std::uint64_t of_malloc(RemoteAddr start, std::uint64_t computed) const;
  bool fits(RemoteAddr start, std::uint64_t bytes) const;

  const HeapInput& input_;
  HeapCensus& census_;
};

}  // namespace memspy::cpython
