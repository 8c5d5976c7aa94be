// Bytes of a process whose malloc is glibc's are overwritten as the input says, then its heaps are
// walked: whatever the bytes, that ends, in bounded work, and chunks never overlap.
//
// Input: layout, then changes of ten bytes each: where (4), what (6: width by its first byte).
#include <memory>

#include "malloc/malloc_census.h"
#include "require.h"
#include "support/malloc_image.h"

namespace {

using memspy::RemoteAddr;
using memspy::malloc::MallocCensus;
using memspy::testing::MallocImage;

constexpr std::size_t kChangeSize = 10;
constexpr std::size_t kMaxChanges = 64;
constexpr std::size_t kMaxReads = 5'000'000;

struct Version {
  std::size_t arena, cache;
  bool mangled;
};
constexpr Version kVersions[] = {
    {2, 0, false}, {0, 1, false}, {0, 1, true}, {0, 2, true}, {1, 2, true}};

std::unique_ptr<MallocImage> make_image(const Version& version) {
  auto image = std::make_unique<MallocImage>(version.arena, version.cache, version.mangled);
  auto& heap = image->heap();
  std::vector<RemoteAddr> cached;
  for (std::uint64_t i = 0; i < 200; ++i) {
    const RemoteAddr chunk = image->add_chunk(heap, 32 + i % 40 * 16, i % 7 != 3 || i == 199);
    if (i % 7 == 0) cached.push_back(chunk);
  }
  image->add_cache(heap, cached);
  image->end_with_top(heap);
  auto arena = image->add_thread_arena(1);
  for (std::uint64_t i = 0; i < 50; ++i) image->add_chunk(arena, 512, i % 2 == 0);
  image->end_with_top(arena);
  image->add_mmapped(0x7d0000000000, 0x21000);
  image->add_mmapped(0x7d0000100000, 0x21000, 48);
  return image;
}

MallocImage& image_of(std::size_t version) {
  static std::unique_ptr<MallocImage> images[std::size(kVersions)];
  if (!images[version]) images[version] = make_image(kVersions[version]);
  return *images[version];
}

struct Change {
  std::byte* at;
  std::byte before;
};

// Half of the changes go to places in use, where the structures are.
void apply(MallocImage& image, std::span<const std::uint8_t> change, std::vector<Change>& undo) {
  auto& segments = image.memory().segments();
  auto segment = segments.begin();
  std::advance(segment, static_cast<std::ptrdiff_t>(change[0] % segments.size()));
  std::vector<std::byte>& bytes = segment->second;
  std::uint32_t where = 0;
  std::memcpy(&where, change.data() + 1, 3);
  std::size_t at = std::size_t{where} * 8 % bytes.size();
  if (change[0] & 0x80) {
    for (std::size_t steps = 0; steps < 4096 && bytes[at] == std::byte{0}; ++steps)
      at = (at + 8) % bytes.size();
  }
  const std::size_t width = 1 + change[4] % 5;
  for (std::size_t i = 0; i < width && at + i < bytes.size(); ++i) {
    undo.push_back({&bytes[at + i], bytes[at + i]});
    bytes[at + i] = static_cast<std::byte>(change[5 + i]);
  }
}

void check(const MallocImage& image, const MallocCensus& census, std::uint64_t mapped) {
  static_cast<void>(image);
  std::uint64_t bytes = 0;
  std::uint64_t behind = 0;
  census.for_each_chunk([&](RemoteAddr user, std::uint64_t size, bool in_use) {
    MEMSPY_REQUIRE(size > 0 && user.value - 16 >= behind);
    behind = user.value - 16 + size;
    bytes += size;
    MEMSPY_REQUIRE(!in_use || census.chunk_bytes(user) == size);
  });
  MEMSPY_REQUIRE(bytes <= mapped);
  MEMSPY_REQUIRE(census.totals().live_bytes + census.totals().free_bytes == bytes);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 1) return 0;
  MallocImage& image = image_of(data[0] % std::size(kVersions));
  image.memory().reads = 0;
  std::vector<Change> undo;
  const auto changes = std::span(data, size).subspan(1);
  for (std::size_t i = 0; i < kMaxChanges && (i + 1) * kChangeSize <= changes.size(); ++i) {
    apply(image, changes.subspan(i * kChangeSize, kChangeSize), undo);
  }
  std::uint64_t mapped = 0;
  for (const auto& mapping : image.map()) mapped += mapping.size();
  check(image, MallocCensus::take(image.memory(), image.map(), image.symbols()), mapped);
  for (auto change = undo.rbegin(); change != undo.rend(); ++change) *change->at = change->before;
  MEMSPY_REQUIRE(image.memory().reads <= kMaxReads);
  return 0;
}
