#include "malloc/mmapped_chunks.h"

#include <algorithm>

#include "malloc/glibc_layout.h"
#include "malloc/page_walk.h"
#include "malloc/window.h"

namespace memspy::malloc {
namespace {

constexpr std::uint64_t kMaxAlignment = 4ULL << 20;  // an alignment that was asked for
constexpr std::uint64_t kHugeTlb = 1;                // bit of prev_size (2.43)

class Scanner {
 public:
  explicit Scanner(const MmappedScan& scan) : in_(scan), window_(in_.memory) {}
  std::vector<MmappedChunk> run();

 private:
  std::uint64_t mapped_bytes(std::uint64_t chunk, std::uint64_t offset, std::uint64_t room);
  std::uint64_t aligned_chunk(std::uint64_t page, std::uint64_t bytes);

  const MmappedScan& in_;
  Window window_;
};

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
  for (std::uint64_t offset = 2 * kPageSize - kHeaderSize; offset < std::min(bytes, kMaxAlignment);
       offset += kPageSize) {
    if (fits(offset)) return page + offset;
  }
  return page;
}

std::vector<MmappedChunk> Scanner::run() {
  std::vector<MmappedChunk> found;
  PageWalk pages(in_.map, in_.resident, in_.taken);
  while (const auto page = pages.next()) {
    const std::uint64_t start = page->address;
    const std::uint64_t bytes = mapped_bytes(start, 0, page->mapping_end - start);
    if (bytes == 0) continue;
    found.push_back({start, aligned_chunk(start, bytes), start + bytes});
    pages.skip(bytes);
  }
  return found;
}

}  // namespace

std::vector<MmappedChunk> find_mmapped_chunks(const MmappedScan& scan) {
  return Scanner(scan).run();
}

}  // namespace memspy::malloc
