// The bytes of a still copy, for a walk that touches each of them once or twice: a view where the
// memory is in memspy already, a bounded read where it is not. Thread-safe when used per thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <vector>

#include "memspy/memory_reader.h"

namespace memspy::cpython {

class HeapBytes {
 public:
  explicit HeapBytes(const MemoryReader& memory) : memory_(&memory) {}

  // `size` bytes at `address`, or an empty span when not all of them are there. Valid until the
  // next call when they had to be read (no view), for good when they are a view.
  std::span<const std::byte> bytes(RemoteAddr address, std::size_t size) {
    if (address.value - start_ < length_ && size <= length_ - (address.value - start_))
      return {data_ + (address.value - start_), size};
    return find(address, size);
  }
  // A word; 0 where nothing is readable: every caller takes 0 for "no pointer".
  std::uint64_t word(RemoteAddr address) {
    std::uint64_t value = 0;
    const auto found = bytes(address, sizeof(value));
    if (!found.empty()) std::memcpy(&value, found.data(), sizeof(value));
    return value;
  }
  RemoteAddr pointer(RemoteAddr address) { return {word(address)}; }
  // Less than a word, zero-extended.
  std::uint64_t load(RemoteAddr address, std::size_t width) {
    std::uint64_t value = 0;
    const auto found = width <= sizeof(value) ? bytes(address, width) : std::span<const std::byte>{};
    if (!found.empty()) std::memcpy(&value, found.data(), width);
    return value;
  }

 private:
  std::span<const std::byte> find(RemoteAddr address, std::size_t size);

  const MemoryReader* memory_;
  std::uint64_t start_ = 0, length_ = 0;  // the view used last
  const std::byte* data_ = nullptr;
  std::vector<std::byte> buffer_;  // for what has no view
};

}  // namespace memspy::cpython
