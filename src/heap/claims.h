// The resident bytes of a process, mapping by mapping, and who has claimed them.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "attach/process_image.h"
#include "base/page_cursor.h"
#include "memspy/symbol_source.h"

namespace memspy::heap {

// Kinds of memory besides objects and their buffers, which are counted by type.
enum class Kind : std::uint8_t {
  kPoolOther,
  kPoolFree,
  kPoolEmpty,
  kPoolHeader,
  kMallocLiveMain,
  kMallocLiveThreads,
  kMallocLiveMapped,
  kMallocFreeMain,
  kMallocFreeThreads,
  kMallocHeader,
  kAllocator,
  kData,
  kCode,
  kFiles,
  kStacks,
  kShared,
  kHuge,
  kAnonymous,
  kUnexplained,
  kCount,
};
using KindBytes = std::array<std::uint64_t, static_cast<std::size_t>(Kind::kCount)>;

class Claims {
 public:
  Claims(const std::vector<attach::MappedPages>& pages, std::span<const AddressRange> resident);

  // The resident bytes of [start, end), now the caller's to book. What is claimed must not overlap;
  // order does not matter, ascending is fast.
  std::uint64_t claim(std::uint64_t start, std::uint64_t end);
  // So many resident bytes of the mapping that holds `address`, wherever in it they lie.
  void claim_bytes(std::uint64_t address, std::uint64_t bytes);
  // Without claiming.
  std::uint64_t resident(std::uint64_t start, std::uint64_t end) {
    return cursor_.bytes(start, end);
  }
  // What is left of a mapping, by its index in `pages`. Negative: more was claimed than it holds
  // (pages that are swapped out).
  std::int64_t left(std::size_t mapping) const {
    return static_cast<std::int64_t>(rss_[mapping]) - static_cast<std::int64_t>(claimed_[mapping]);
  }
  std::size_t mapping_count() const { return rss_.size(); }
  std::span<const AddressRange> ranges() const { return resident_; }
  const Mapping& mapping(std::size_t index) const { return pages_[index].mapping; }
  std::uint64_t huge_bytes(std::size_t index) const { return pages_[index].huge_bytes; }
  // Index of the mapping that holds `address`, or of the next one.
  std::size_t find(std::uint64_t address) const;

 private:
  const std::vector<attach::MappedPages>& pages_;
  std::vector<AddressRange> assumed_;  // when pages are not known one by one
  std::span<const AddressRange> resident_;
  PageCursor cursor_;
  std::vector<std::uint64_t> rss_, claimed_;
  std::size_t last_ = 0;
};

}  // namespace memspy::heap
