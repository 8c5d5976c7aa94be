// The bytes of a still copy, for a walk that touches each of them once or twice: a view where the
// memory is in memspy already, a bounded read where it is not. One object per thread.
#pragma once

#include <array>
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
    const View& view = views_[slot_of(address)];
    const std::uint64_t offset = address.value - view.start;
    if (offset < view.length && size <= view.length - offset) return {view.data + offset, size};
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
    const auto found =
        width <= sizeof(value) ? bytes(address, width) : std::span<const std::byte>{};
    if (!found.empty()) std::memcpy(&value, found.data(), width);
    return value;
  }
  const MemoryReader& memory() const { return *memory_; }

 private:
  // A walk jumps between an object, its items and its type: the view of each 2 MiB of the address
  // space is remembered on its own, so that a jump does not forget where it came from.
  static constexpr unsigned kChunkBits = 21;
  static constexpr std::size_t kViews = 1024;
  struct View {
    std::uint64_t start = 0, length = 0;
    const std::byte* data = nullptr;
  };

  static std::size_t slot_of(RemoteAddr address) {
    return static_cast<std::size_t>(address.value >> kChunkBits) % kViews;
  }
  std::span<const std::byte> find(RemoteAddr address, std::size_t size);
  View look_up(RemoteAddr address) const;

  const MemoryReader* memory_;
  std::array<View, kViews> views_{};
  std::vector<std::byte> buffer_;  // for what has no view
};

}  // namespace memspy::cpython
