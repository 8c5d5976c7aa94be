// The words of one pool, for a walk along its chain of free blocks. Most walks end after a few
// blocks, and a pool may be 16 KiB that are in no cache: the first words are read one by one, and
// who asks for more has the whole pool copied.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "memspy/memory_reader.h"

namespace memspy::cpython {

class PoolWords {
 public:
  PoolWords(const MemoryReader& memory, RemoteAddr pool, std::uint64_t pool_bytes,
            std::vector<std::byte>& room)
      : memory_(memory), pool_(pool), pool_bytes_(pool_bytes), copy_(room) {}

  // nullopt: outside of the pool, or not readable.
  std::optional<std::uint64_t> at(RemoteAddr address);

 private:
  bool copy();

  const MemoryReader& memory_;
  RemoteAddr pool_;
  std::uint64_t pool_bytes_;
  std::vector<std::byte>& copy_;  // the caller's, so that it is made once
  std::uint64_t reads_ = 0;
  bool copied_ = false;
};

}  // namespace memspy::cpython
