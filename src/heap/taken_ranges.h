// Address ranges that have an explanation already, so that nothing is explained twice.
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>
#include <vector>

#include "memspy/symbol_source.h"

namespace memspy::heap {

class TakenRanges {
 public:
  // Of ranges that overlap, the one that begins first keeps its bytes.
  void add(std::vector<AddressRange> ranges) {
    ranges.insert(ranges.end(), ranges_.begin(), ranges_.end());
    std::sort(ranges.begin(), ranges.end(),
              [](const AddressRange& a, const AddressRange& b) { return a.start < b.start; });
    ranges_.clear();
    for (const AddressRange& range : ranges) {
      if (range.size == 0 || range.start.value + range.size < range.start.value) continue;
      if (!ranges_.empty() && end_of(ranges_.back()) >= range.start.value) {
        ranges_.back().size = std::max(end_of(ranges_.back()), range.start.value + range.size) -
                              ranges_.back().start.value;
      } else {
        ranges_.push_back(range);
      }
    }
  }

  void add(AddressRange range) {
    std::uint64_t start = range.start.value;
    std::uint64_t end = start + range.size;
    if (range.size == 0 || end < start) return;
    const auto first = std::lower_bound(
        ranges_.begin(), ranges_.end(), start,
        [](const AddressRange& r, std::uint64_t a) { return r.start.value + r.size < a; });
    auto last = first;
    for (; last != ranges_.end() && last->start.value <= end; ++last) {
      start = std::min(start, last->start.value);
      end = std::max(end, end_of(*last));
    }
    ranges_.insert(ranges_.erase(first, last), {{start}, end - start});
  }

  // The parts of [start, end) that are not taken, ascending.
  template <typename Visit>
  void each_free(std::uint64_t start, std::uint64_t end, Visit visit) const {
    const auto ends_before = [](const AddressRange& range, std::uint64_t a) {
      return range.start.value + range.size <= a;
    };
    auto it = std::lower_bound(ranges_.begin(), ranges_.end(), start, ends_before);
    for (; start < end && it != ranges_.end() && it->start.value < end; ++it) {
      if (it->start.value > start) visit(start, it->start.value);
      start = std::max(start, it->start.value + it->size);
    }
    if (start < end) visit(start, end);
  }

 private:
  static std::uint64_t end_of(const AddressRange& range) { return range.start.value + range.size; }
  std::vector<AddressRange> ranges_;  // ascending, apart
};

}  // namespace memspy::heap
