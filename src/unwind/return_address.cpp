#include "unwind/return_address.h"

#include <cstdint>

namespace memspy::unwind {
namespace {

constexpr std::uint8_t kCallNear = 0xe8, kGroup5 = 0xff;
constexpr std::uint8_t kCallInGroup5 = 2;  // the middle three bits of ModRM
constexpr std::uint8_t kSib = 4, kNoBase = 5;

// The length of `ff /2` with what its ModRM asks for; 0: another instruction.
std::size_t length_of_indirect_call(std::uint8_t modrm, std::uint8_t sib) {
  if ((modrm >> 3 & 7) != kCallInGroup5) return 0;
  const std::uint8_t mode = modrm >> 6, base = modrm & 7;
  if (mode == 3) return 2;
  const std::size_t with_sib = base == kSib ? 1 : 0;
  if (mode == 1) return 3 + with_sib;
  if (mode == 2) return 6 + with_sib;
  if (base == kNoBase) return 6;  // relative to rip
  return with_sib != 0 && (sib & 7) == kNoBase ? 7 : 2 + with_sib;
}

}  // namespace

bool ends_in_call(std::span<const std::byte, kLongestCall> before) {
  const auto at = [&](std::size_t from_end) {
    return std::to_integer<std::uint8_t>(before[before.size() - from_end]);
  };
  if (at(5) == kCallNear) return true;
  for (std::size_t length = 2; length < kLongestCall; ++length) {
    if (at(length) != kGroup5) continue;
    const std::uint8_t sib = length >= 3 ? at(length - 2) : 0;
    if (length_of_indirect_call(at(length - 1), sib) == length) return true;
  }
  return false;
}

}  // namespace memspy::unwind
