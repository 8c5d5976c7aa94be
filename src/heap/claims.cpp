#include "heap/claims.h"

#include <algorithm>

namespace memspy::heap {
namespace {

std::vector<AddressRange> from_their_start(const std::vector<attach::MappedPages>& pages) {
  std::vector<AddressRange> ranges;
  for (const attach::MappedPages& page : pages) {
    if (page.rss_bytes == 0) continue;
    ranges.push_back({page.mapping.start, std::min(page.rss_bytes, page.mapping.size())});
  }
  return ranges;
}

}  // namespace

Claims::Claims(const std::vector<attach::MappedPages>& pages,
               std::span<const AddressRange> resident)
    : pages_(pages),
      assumed_(resident.empty() ? from_their_start(pages) : std::vector<AddressRange>()),
      resident_(resident.empty() ? std::span<const AddressRange>(assumed_) : resident),
      cursor_(resident_),
      claimed_(pages.size(), 0) {
  rss_.reserve(pages.size());
  for (const attach::MappedPages& page : pages) rss_.push_back(page.rss_bytes);
}

std::size_t Claims::find(std::uint64_t address) const {
  const auto ends_before = [](const attach::MappedPages& page, std::uint64_t a) {
    return page.mapping.end.value <= a;
  };
  return static_cast<std::size_t>(
      std::lower_bound(pages_.begin(), pages_.end(), address, ends_before) - pages_.begin());
}

void Claims::claim_bytes(std::uint64_t address, std::uint64_t bytes) {
  const std::size_t at = find(address);
  if (at < claimed_.size()) claimed_[at] += bytes;
}

std::uint64_t Claims::claim(std::uint64_t start, std::uint64_t end) {
  if (last_ >= pages_.size() || !pages_[last_].mapping.contains({start})) last_ = find(start);
  std::uint64_t sum = 0;
  for (; last_ < pages_.size() && pages_[last_].mapping.start.value < end; ++last_) {
    const Mapping& mapping = pages_[last_].mapping;
    const std::uint64_t from = std::max(start, mapping.start.value);
    const std::uint64_t to = std::min(end, mapping.end.value);
    const std::uint64_t bytes = from < to ? cursor_.bytes(from, to) : 0;
    claimed_[last_] += bytes;
    sum += bytes;
    if (end <= mapping.end.value) break;
  }
  return sum;
}

}  // namespace memspy::heap
