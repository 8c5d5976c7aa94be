#include "cpython/allocators/inlined_calls.h"

#include <algorithm>
#include <cstring>
#include <optional>

namespace memspy::cpython {
namespace {

constexpr std::size_t kLongest = 7;           // bytes of the instructions below
constexpr std::size_t kBetween = 24;          // from the address in a register to the comparison
constexpr std::size_t kMostGuards = 1 << 16;  // some 200 are usual

class Scan {
 public:
  Scan(std::span<const std::byte> code, std::uint64_t begin) : code_(code), begin_(begin) {}

  std::size_t last() const { return code_.size() < kLongest ? 0 : code_.size() - kLongest + 1; }

  // The address that the instruction at `at` compares with, or takes for a comparison.
  std::optional<std::uint64_t> address(std::size_t at) const {
    const std::uint8_t prefix = byte(at), opcode = byte(at + 1), third = byte(at + 2);
    if (prefix == 0x48 && opcode == 0x3d) return immediate(at + 2);  // cmp $imm32, %rax
    if ((prefix & 0xfeU) == 0x48 && opcode == 0x81 && (third & 0xf8U) == 0xf8)
      return immediate(at + 3);  // cmp $imm32, %r64
    const bool relative = (prefix & 0xfbU) == 0x48 && opcode == 0x8d && (third & 0xc7U) == 0x05;
    if (relative && compares(at + kLongest))  // lea d32(%rip), %r64
      return begin_ + at + kLongest + immediate(at + 3);
    return std::nullopt;
  }

 private:
  std::uint8_t byte(std::size_t at) const { return std::to_integer<std::uint8_t>(code_[at]); }
  std::uint64_t immediate(std::size_t at) const {
    std::int32_t value = 0;
    std::memcpy(&value, code_.data() + at, sizeof(value));
    return static_cast<std::uint64_t>(std::int64_t{value});
  }
  bool compares(std::size_t at) const {
    const std::size_t end = std::min(at + kBetween, code_.size() - 1);
    for (; at < end; ++at) {
      const std::uint8_t opcode = byte(at + 1);
      if ((byte(at) & 0xf8U) == 0x48 && (opcode == 0x39 || opcode == 0x3b)) return true;
    }
    return false;
  }

  std::span<const std::byte> code_;
  std::uint64_t begin_;
};

}  // namespace

std::vector<std::uint64_t> find_guards(std::span<const std::byte> code, std::uint64_t begin,
                                       std::span<const std::uint64_t> functions) {
  std::vector<std::uint64_t> guards;
  const Scan scan(code, begin);
  for (std::size_t at = 0; at < scan.last() && guards.size() < kMostGuards; ++at) {
    const auto address = scan.address(at);
    if (address && std::binary_search(functions.begin(), functions.end(), *address))
      guards.push_back(begin + at);
  }
  return guards;
}

}  // namespace memspy::cpython
