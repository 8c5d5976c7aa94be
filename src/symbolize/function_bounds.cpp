#include "symbolize/function_bounds.h"

#include <algorithm>
#include <cstring>

namespace memspy::symbolize {
namespace {

constexpr std::uint32_t kMaxTableEntries = 4U << 20;
// The one form that linkers write: a count of 4 bytes, then pairs of 4 bytes, signed, relative to
// the header's beginning.
constexpr std::uint8_t kVersion = 1, kCount4 = 0x03, kSigned4FromHeader = 0x3b;
constexpr std::uint8_t kPointer4 = 0x1b;  // to the frames: signed, relative to itself

}  // namespace

FunctionBounds::FunctionBounds(const CfiTable& image) {
  const std::uint64_t at = image.exception_header();
  std::array<std::byte, 12> head{};
  if (at == 0 || image.read(at, head) != head.size()) return;
  const auto byte = [&](std::size_t i) { return std::to_integer<std::uint8_t>(head[i]); };
  if (byte(0) != kVersion || byte(1) != kPointer4 || byte(2) != kCount4 ||
      byte(3) != kSigned4FromHeader)
    return;
  std::uint32_t count = 0;
  std::memcpy(&count, head.data() + 8, sizeof(count));
  struct Pair {
    std::int32_t begin, entry;
  };
  std::vector<Pair> pairs(std::min(count, kMaxTableEntries));
  pairs.resize(image.read(at + head.size(), std::as_writable_bytes(std::span(pairs))) /
               sizeof(Pair));
  begins_.reserve(pairs.size());
  for (const Pair& pair : pairs)
    begins_.push_back(at + static_cast<std::uint64_t>(std::int64_t{pair.begin}));
  if (!std::is_sorted(begins_.begin(), begins_.end())) begins_.clear();
}

std::optional<FunctionBounds::Range> FunctionBounds::find(std::uint64_t address) const {
  const auto next = std::upper_bound(begins_.begin(), begins_.end(), address);
  if (next == begins_.begin() || next == begins_.end()) return std::nullopt;
  return Range{*std::prev(next), *next};
}

}  // namespace memspy::symbolize
