#include "cpython/heap/address_index.h"

#include <algorithm>
#include <bit>

namespace memspy::cpython {

void AddressIndex::build(std::span<const std::uint64_t> addresses) {
  addresses_ = addresses;
  std::size_t pages = 0;
  std::uint64_t last = ~std::uint64_t{0};
  for (const std::uint64_t address : addresses) {
    pages += address >> kPageBits != last ? 1 : 0;
    last = address >> kPageBits;
  }
  pages_.assign(std::bit_ceil(2 * pages + 1), Page{});
  mask_ = pages_.size() - 1;
  for (std::size_t i = 0; i < addresses.size();) {
    Page page{addresses[i] >> kPageBits, static_cast<std::uint32_t>(i), 0};
    while (i < addresses.size() && addresses[i] >> kPageBits == page.page) ++page.count, ++i;
    std::size_t at = hash(page.page);
    while (pages_[at & mask_].count != 0) ++at;
    pages_[at & mask_] = page;
  }
}

}  // namespace memspy::cpython
