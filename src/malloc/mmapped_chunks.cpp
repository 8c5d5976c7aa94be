#include "malloc/mmapped_chunks.h"

#include <algorithm>

#include "malloc/glibc_layout.h"
#include "malloc/window.h"

namespace memspy::malloc {
namespace {

constexpr std::uint64_t kMaxPages = 1ULL << 28;  // 1 TiB of pages looked at
constexpr std::uint64_t kAlignedPages = 1024;    // memalign of up to 4 MiB is seen through
constexpr std::uint64_t kHugeTlb = 1;            // bit of prev_size (2.43)

class Scanner {
 public:
  explicit Scanner(MmappedScan scan) : in_(std::move(scan)), window_(in_.memory) {}

  std::vector<MmappedChunk> run() {
    std::sort(in_.taken.begin(), in_.taken.end(),
              [](const AddressRange& a, const AddressRange& b) { return a.start < b.start; });
    for (const Mapping& mapping : in_.map) {
      if (mapping.anonymous() && mapping.writable && !mapping.shared &&
          (mapping.path.empty() || mapping.path.starts_with("[anon"))) {
        scan_mapping(mapping);
      }
    }
    return std::move(found_);
  }

 private:
  void scan_mapping(const Mapping& mapping);
  std::uint64_t next_page(std::uint64_t page, std::uint64_t end);
  std::uint64_t mapped_bytes(std::uint64_t chunk, std::uint64_t offset, std::uint64_t room);
  std::uint64_t aligned_chunk(std::uint64_t page, std::uint64_t bytes);

  MmappedScan in_;
  Window window_;
  std::size_t taken_ = 0, resident_ = 0;  // cursors: pages only ascend
  std::uint64_t pages_ = 0;
  std::vector<MmappedChunk> found_;
};

// The first page at or behind `page` that is resident and not taken.
std::uint64_t Scanner::next_page(std::uint64_t page, std::uint64_t end) {
  for (bool moved = true; moved && page < end;) {
    moved = false;
    while (taken_ < in_.taken.size() && in_.taken[taken_].start.value <= page) {
      const std::uint64_t behind = in_.taken[taken_].start.value + in_.taken[taken_].size;
      moved = moved || behind > page;
      page = std::max(page, behind);
      ++taken_;
    }
    if (in_.resident.empty()) continue;
    while (resident_ < in_.resident.size() &&
           in_.resident[resident_].start.value + in_.resident[resident_].size <= page) {
      ++resident_;
    }
    if (resident_ == in_.resident.size()) return end;
    if (in_.resident[resident_].start.value > page) {
      page = in_.resident[resident_].start.value;
      moved = true;
    }
  }
  return page;
}

// Bytes of the mapping whose chunk begins `offset` behind its start; 0: no such chunk.
std::uint64_t Scanner::mapped_bytes(std::uint64_t chunk, std::uint64_t offset, std::uint64_t room) {
  const auto header = window_.bytes(chunk, kHeaderSize);
  if (header.size() < kHeaderSize) return 0;
  std::uint64_t before = 0;
  std::uint64_t size = 0;
  std::memcpy(&before, header.data(), sizeof(before));
  std::memcpy(&size, header.data() + kSizeField, sizeof(size));
  if ((size & kSizeBits) != kIsMmapped) return 0;
  if (before != offset && (in_.tail == 0 || before != (offset | kHugeTlb))) return 0;
  size &= ~kSizeBits;
  if (size < kMinChunk || size > room) return 0;
  const std::uint64_t bytes = offset + size + in_.tail;
  return bytes % kPageSize == 0 && bytes >= kPageSize && bytes <= room ? bytes : 0;
}

// memalign leaves the header at the start of the mapping and writes another where the aligned block
// begins, so many bytes behind it.
std::uint64_t Scanner::aligned_chunk(std::uint64_t page, std::uint64_t bytes) {
  const auto fits = [&](std::uint64_t offset) {
    return offset + kMinChunk <= bytes && mapped_bytes(page + offset, offset, bytes) == bytes;
  };
  for (std::uint64_t offset = kAlignment; offset < kPageSize; offset += kAlignment) {
    if (fits(offset)) return page + offset;
  }
  return page;
}

void Scanner::scan_mapping(const Mapping& mapping) {
  const std::uint64_t end = mapping.end.value;
  std::uint64_t page = mapping.start.value;
  while ((page = next_page(page, end)) < end && pages_++ < kMaxPages) {
    const std::uint64_t bytes = mapped_bytes(page, 0, end - page);
    if (bytes == 0) {
      page += kPageSize;
      continue;
    }
    found_.push_back({page, aligned_chunk(page, bytes), page + bytes});
    page += bytes;
  }
}

}  // namespace

std::vector<MmappedChunk> find_mmapped_chunks(MmappedScan scan) {
  return Scanner(std::move(scan)).run();
}

}  // namespace memspy::malloc
