// What fuzz targets that damage a process' memory write into it.
#pragma once

#include <cstdint>
#include <iterator>

namespace memspy::fuzz {

// Words that lengths, counts and pointers break at.
inline std::uint64_t special_word(std::uint8_t which) {
  constexpr std::uint64_t kSpecial[] = {
      0, ~std::uint64_t{0}, std::uint64_t{1} << 63, 0x7fffffff, 1, 0x1000, 1U << 20, 1U << 26};
  return kSpecial[which % std::size(kSpecial)];
}

}  // namespace memspy::fuzz
