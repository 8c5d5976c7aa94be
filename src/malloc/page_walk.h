// The pages at which memory of malloc may begin: of private anonymous mappings, resident where that
// is known, and not taken by something else. Ascending, and bounded.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "memspy/memory_map.h"
#include "memspy/symbol_source.h"

namespace memspy::malloc {

class PageWalk {
 public:
  struct Page {
    std::uint64_t address, mapping_end;
  };
  // `resident`: ascending; empty: not known, and every page is looked at.
  PageWalk(const MemoryMap& map, std::span<const AddressRange> resident,
           std::vector<AddressRange> taken);

  std::optional<Page> next();
  // Instead of the page behind the last one: the one so many bytes behind its start.
  void skip(std::uint64_t bytes) { at_ = last_ + bytes; }

 private:
  std::uint64_t free_page(std::uint64_t page, std::uint64_t end);

  const MemoryMap& map_;
  std::span<const AddressRange> resident_;
  std::vector<AddressRange> taken_;
  std::size_t mapping_ = 0, resident_at_ = 0, taken_at_ = 0;  // cursors: addresses only ascend
  std::uint64_t at_ = 0, last_ = 0, pages_ = 0;
};

}  // namespace memspy::malloc
