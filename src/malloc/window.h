// Words of a target, read in pieces large enough that a walk forward costs few reads. One thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <vector>

#include "memspy/memory_reader.h"

namespace memspy::malloc {

class Window {
 public:
  // `piece`: bytes that one read brings where the reader has no view of its own.
  explicit Window(const MemoryReader& memory, std::size_t piece = 64 * 1024)
      : memory_(memory), piece_(piece) {}

  std::optional<std::uint64_t> word(std::uint64_t address) {
    const std::span<const std::byte> at = bytes(address, sizeof(std::uint64_t));
    if (at.size() < sizeof(std::uint64_t)) return std::nullopt;
    std::uint64_t value = 0;
    std::memcpy(&value, at.data(), sizeof(value));
    return value;
  }

  // At least `length` bytes at `address`, or fewer where memory ends; valid until the next call.
  // `length` must not exceed the piece.
  std::span<const std::byte> bytes(std::uint64_t address, std::size_t length) {
    const std::uint64_t offset = address - start_;
    if (address < start_ || offset > held_.size() || held_.size() - offset < length) {
      fill(address, length);
      return held_;
    }
    return held_.subspan(offset);
  }

 private:
  void fill(std::uint64_t address, std::size_t length) {
    start_ = address;
    held_ = memory_.view({address});
    if (held_.size() >= length) return;
    buffer_.resize(piece_);
    held_ = std::span(buffer_).first(memory_.read_some({address}, buffer_));
  }

  const MemoryReader& memory_;
  std::size_t piece_;
  std::uint64_t start_ = 0;
  std::span<const std::byte> held_;
  std::vector<std::byte> buffer_;
};

}  // namespace memspy::malloc
