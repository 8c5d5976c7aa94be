// What is taken of a thread while it stands still: registers and a piece of its stack. Everything
// else of a native stack is worked out from it afterwards.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <vector>

#include "symbolize/cfi_table.h"

namespace memspy::unwind {

// By DWARF number. Of a thread that was not stopped only some are known.
class Registers {
 public:
  std::optional<std::uint64_t> find(std::size_t index) const {
    if (index >= values_.size() || (known_ >> index & 1) == 0) return std::nullopt;
    return values_[index];
  }
  void set(std::size_t index, std::optional<std::uint64_t> value) {
    if (index >= values_.size()) return;
    values_[index] = value.value_or(0);
    known_ = (known_ & ~(1U << index)) | (value ? 1U << index : 0);
  }

 private:
  std::array<std::uint64_t, symbolize::kDwarfRegisters> values_{};
  std::uint32_t known_ = 0;
};

struct StackCopy {
  Registers registers;
  std::uint64_t begin = 0;  // of the bytes, in the target
  std::vector<std::byte> bytes;

  std::optional<std::uint64_t> word(std::uint64_t address) const {
    if (address < begin || bytes.size() < sizeof(std::uint64_t) ||
        address - begin > bytes.size() - sizeof(std::uint64_t))
      return std::nullopt;
    std::uint64_t value = 0;
    std::memcpy(&value, bytes.data() + (address - begin), sizeof(value));
    return value;
  }
  bool holds(std::uint64_t address) const { return word(address).has_value(); }
};

// Enough for a thousand frames of an interpreter; what lies beyond is counted as cut.
inline constexpr std::size_t kMaxStackCopy = 512 << 10;
// The usual piece: reading it takes some 10 µs.
inline constexpr std::size_t kFirstStackCopy = 64 << 10;

}  // namespace memspy::unwind
