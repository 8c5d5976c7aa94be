// Addresses to their place in an ascending array of addresses: a hash of pages, then a short
// search.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "memspy/address.h"
#include "memspy/object_visitor.h"

namespace memspy::cpython {

class AddressIndex {
 public:
  // `addresses` ascend, differ, and outlive the index unchanged.
  void build(std::span<const std::uint64_t> addresses);
  NodeIndex find(RemoteAddr address) const {
    const std::uint64_t page = address.value >> kPageBits;
    for (std::size_t at = hash(page);; ++at) {
      const Page& entry = pages_[at & mask_];
      if (entry.count == 0) return kNoNode;
      if (entry.page == page) return search(entry, address.value);
    }
  }

 private:
  static constexpr unsigned kPageBits = 12;
  struct Page {
    std::uint64_t page = 0;
    std::uint32_t first = 0, count = 0;  // count 0: an empty entry
  };
  static std::size_t hash(std::uint64_t page) {
    return static_cast<std::size_t>(page * 0x9e3779b97f4a7c15ULL >> 24);
  }
  NodeIndex search(const Page& page, std::uint64_t address) const {
    const std::uint64_t* first = addresses_.data() + page.first;
    std::uint32_t count = page.count;
    while (count > 1) {  // without a branch that a random address would mispredict
      const std::uint32_t half = count / 2;
      first += first[half] <= address ? half : 0;
      count -= half;
    }
    return *first == address ? NodeIndex{static_cast<std::uint32_t>(first - addresses_.data())}
                             : kNoNode;
  }

  std::span<const std::uint64_t> addresses_;
  std::vector<Page> pages_ = std::vector<Page>(1);
  std::size_t mask_ = 0;
};

}  // namespace memspy::cpython
