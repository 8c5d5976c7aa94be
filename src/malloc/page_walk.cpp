#include "malloc/page_walk.h"

#include <algorithm>

#include "malloc/glibc_layout.h"

namespace memspy::malloc {
namespace {

constexpr std::uint64_t kMaxPages = 1ULL << 28;  // 1 TiB

bool may_be_malloc(const Mapping& mapping) {
  return mapping.anonymous() && mapping.writable && !mapping.shared &&
         (mapping.path.empty() || mapping.path.starts_with("[anon"));
}

std::uint64_t end_of(const AddressRange& range) { return range.start.value + range.size; }

}  // namespace

PageWalk::PageWalk(const MemoryMap& map, std::span<const AddressRange> resident,
                   std::vector<AddressRange> taken)
    : map_(map), resident_(resident), taken_(std::move(taken)) {
  std::sort(taken_.begin(), taken_.end(),
            [](const AddressRange& a, const AddressRange& b) { return a.start < b.start; });
}

std::optional<PageWalk::Page> PageWalk::next() {
  for (; mapping_ < map_.size() && pages_ < kMaxPages; ++mapping_) {
    const Mapping& mapping = map_[mapping_];
    if (!may_be_malloc(mapping)) continue;
    const std::uint64_t end = mapping.end.value;
    const std::uint64_t page = free_page(std::max(at_, mapping.start.value), end);
    if (page >= end) continue;
    ++pages_;
    last_ = page;
    at_ = page + kPageSize;
    return Page{page, end};
  }
  return std::nullopt;
}

// The first page at or behind `page` that is resident and not taken; `end` or more: none.
std::uint64_t PageWalk::free_page(std::uint64_t page, std::uint64_t end) {
  for (bool moved = true; moved && page < end;) {
    moved = false;
    for (; taken_at_ < taken_.size() && taken_[taken_at_].start.value <= page; ++taken_at_) {
      moved = moved || end_of(taken_[taken_at_]) > page;
      page = std::max(page, end_of(taken_[taken_at_]));
    }
    if (resident_.empty()) continue;
    while (resident_at_ < resident_.size() && end_of(resident_[resident_at_]) <= page) {
      ++resident_at_;
    }
    if (resident_at_ == resident_.size()) return end;
    if (resident_[resident_at_].start.value > page) {
      page = resident_[resident_at_].start.value;
      moved = true;
    }
  }
  return page;
}

}  // namespace memspy::malloc
