// Tables of code by where it begins in the target's memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <iterator>

namespace memspy::sampler {

// Then all are forgotten: they are learnt again within seconds.
inline constexpr std::size_t kMaxCodes = 4096;

// The entry that holds `at`; the end when there is none.
template <typename Codes>
auto holding(Codes& codes, std::uint64_t at) {
  auto it = codes.upper_bound(at);
  if (it == codes.begin() || at >= (--it)->second.end) return codes.end();
  return it;
}

// The entry of code from `begin` to `end`, new or known. What it reaches into was freed.
template <typename Codes>
auto& make_room(Codes& codes, std::uint64_t begin, std::uint64_t end) {
  if (codes.size() >= kMaxCodes && !codes.contains(begin)) codes.clear();
  auto next = codes.upper_bound(begin);
  while (next != codes.end() && next->first < end) next = codes.erase(next);
  return codes[begin];
}

}  // namespace memspy::sampler
