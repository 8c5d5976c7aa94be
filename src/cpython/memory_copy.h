// Pieces of a target's memory, copied in batches and looked at afterwards. While a thread is
// stopped the number of system calls and of pages is what costs (about 1.2 µs a call and 0.3 µs a
// piece), so pieces near each other become one.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <vector>

#include "cpython/layout.h"
#include "memspy/memory_reader.h"

namespace memspy::cpython {

class MemoryCopy {
 public:
  explicit MemoryCopy(const MemoryReader& memory) : memory_(&memory) {}

  // Forgets everything; keeps the storage.
  void clear();
  // Asks for `size` bytes with the next fetch(), unless they are there. Pieces may overlap. Beyond
  // kMaxBytes between two clear()s nothing more is fetched: sizes come from the target.
  void want(RemoteAddr addr, std::size_t size);
  // One read_many for everything wanted. What cannot be read is simply not found later.
  void fetch();
  // The bytes, or an empty span when they were not all copied. Valid until the next fetch or clear.
  std::span<const std::byte> find(RemoteAddr addr, std::size_t size) const;
  // Like find, but as many of the bytes as there are.
  std::span<const std::byte> find_prefix(RemoteAddr addr, std::size_t size) const;

 private:
  static constexpr std::size_t kMaxBytes = std::size_t{8} << 20;

  struct Wanted {
    std::uint64_t start, end;
  };
  struct Piece {
    std::uint64_t start;
    std::size_t size;    // what was read
    std::size_t offset;  // into bytes_
  };

  void merge_wanted();
  void request_pieces();
  const Piece* find_piece(RemoteAddr addr, std::size_t size) const;

  const MemoryReader* memory_;
  std::vector<Wanted> wanted_;
  std::vector<ReadRequest> requests_;
  std::vector<Piece> pieces_;         // batch by batch; within one sorted and disjoint
  std::vector<std::size_t> batches_;  // index of the first piece of each
  std::vector<std::byte> bytes_;      // never shrinks: growing anew would clear it each time
  std::size_t used_ = 0;
  mutable std::size_t last_found_ = 0;  // lookups follow a chain, so mostly hit the same piece
};

// A field of the structure that these bytes are a copy of; 0 when they end before it. Inline: the
// walk of a stack calls it some hundred times while a thread waits.
inline std::uint64_t field_of(std::span<const std::byte> bytes, Slot slot) {
  std::uint64_t value = 0;
  if (slot.width <= sizeof(value) && slot.offset <= bytes.size() &&
      slot.width <= bytes.size() - slot.offset) {
    std::memcpy(&value, bytes.data() + slot.offset, slot.width);  // x86-64: little endian
  }
  return value;
}

}  // namespace memspy::cpython
