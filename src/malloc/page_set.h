// Which bytes of a range are resident; asked in ascending order.
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>

#include "memspy/symbol_source.h"

namespace memspy::malloc {

class PageCursor {
 public:
  explicit PageCursor(std::span<const AddressRange> resident) : resident_(resident) {}

  std::uint64_t bytes(std::uint64_t start, std::uint64_t end) {
    while (at_ < resident_.size() && resident_[at_].start.value + resident_[at_].size <= start) {
      ++at_;
    }
    std::uint64_t sum = 0;
    for (std::size_t i = at_; i < resident_.size() && resident_[i].start.value < end; ++i) {
      const std::uint64_t from = std::max(start, resident_[i].start.value);
      const std::uint64_t to = std::min(end, resident_[i].start.value + resident_[i].size);
      if (to > from) sum += to - from;
    }
    return sum;
  }

 private:
  std::span<const AddressRange> resident_;
  std::size_t at_ = 0;
};

}  // namespace memspy::malloc
