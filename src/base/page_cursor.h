// How many bytes of a range are resident. Fast when asked in ascending order; any order is right.
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>

#include "memspy/symbol_source.h"

namespace memspy {

class PageCursor {
 public:
  // `resident`: ascending, without overlaps; must outlive the cursor.
  explicit PageCursor(std::span<const AddressRange> resident) : resident_(resident) {}

  std::uint64_t bytes(std::uint64_t start, std::uint64_t end) {
    seek(start);
    std::uint64_t sum = 0;
    for (std::size_t i = at_; i < resident_.size() && resident_[i].start.value < end; ++i) {
      const std::uint64_t from = std::max(start, resident_[i].start.value);
      const std::uint64_t to = std::min(end, end_of(i));
      if (to > from) sum += to - from;
    }
    return sum;
  }

 private:
  std::uint64_t end_of(std::size_t i) const { return resident_[i].start.value + resident_[i].size; }
  // To the first range that ends behind `start`.
  void seek(std::uint64_t start) {
    constexpr int kNear = 4;  // steps before a search by halves
    for (int i = 0; i < kNear; ++i) {
      const bool early = at_ > 0 && end_of(at_ - 1) > start;
      const bool late = at_ < resident_.size() && end_of(at_) <= start;
      if (!early && !late) return;
      if (early) break;
      ++at_;
    }
    const auto behind = [&](const AddressRange& range, std::uint64_t a) {
      return range.start.value + range.size <= a;
    };
    at_ = static_cast<std::size_t>(
        std::lower_bound(resident_.begin(), resident_.end(), start, behind) - resident_.begin());
  }

  std::span<const AddressRange> resident_;
  std::size_t at_ = 0;
};

}  // namespace memspy
