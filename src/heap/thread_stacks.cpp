#include "heap/thread_stacks.h"

#include <algorithm>
#include <array>
#include <cstring>

namespace memspy::heap {
namespace {

constexpr std::size_t kPage = 4096;
constexpr std::size_t kDescriptorAlignment = 64;
// tcbhead_t: `tcb` and `self`, both the address of the descriptor itself.
constexpr std::size_t kSelf = 16;
// struct pthread: where stackblock and stackblock_size may stand, whatever the version.
constexpr std::size_t kStackFieldsFrom = 0x300, kStackFieldsTo = 0x900;
constexpr std::uint64_t kMaxStack = 1ULL << 36;
constexpr std::size_t kMaxThreads = 16384;

std::uint64_t load(const std::byte* at) {
  std::uint64_t value = 0;
  std::memcpy(&value, at, sizeof(value));
  return value;
}

AddressRange stack_of(const MemoryReader& memory, std::uint64_t descriptor) {
  std::array<std::byte, kStackFieldsTo> bytes{};
  const std::size_t length = memory.read_some({descriptor}, bytes);
  for (std::size_t at = kStackFieldsFrom; at + 16 <= length; at += 8) {
    const std::uint64_t start = load(bytes.data() + at);
    const std::uint64_t size = load(bytes.data() + at + 8);
    if (start % kPage == 0 && size % kPage == 0 && size >= kPage && size <= kMaxStack &&
        start != 0 && start < descriptor && descriptor - start < size &&
        start + size - descriptor < 2 * kPage) {
      return {{start}, size};
    }
  }
  return {{descriptor}, 0};
}

void look_at_piece(const MemoryReader& memory, const AddressRange& piece,
                   std::vector<ThreadBlock>& found) {
  std::vector<std::byte> buffer(64 * kPage);
  for (std::uint64_t done = 0; done < piece.size;) {
    const std::size_t want = std::min<std::uint64_t>(buffer.size(), piece.size - done);
    const RemoteAddr base = piece.start + done;
    std::span<const std::byte> bytes = memory.view(base);
    if (bytes.size() > want) bytes = bytes.first(want);
    if (bytes.size() < want) {
      bytes = std::span(buffer).first(memory.read_some(base, std::span(buffer).first(want)));
    }
    for (std::size_t at = 0; at + kSelf + 8 <= bytes.size() && found.size() < kMaxThreads;
         at += kDescriptorAlignment) {
      const std::uint64_t address = base.value + at;
      if (load(bytes.data() + at) != address || load(bytes.data() + at + kSelf) != address) {
        continue;
      }
      found.push_back({stack_of(memory, address), {address}});
    }
    done += want;
  }
}

}  // namespace

std::vector<ThreadBlock> find_thread_blocks(const MemoryReader& memory,
                                            std::span<const AddressRange> pieces) {
  std::vector<ThreadBlock> found;
  for (const AddressRange& piece : pieces) look_at_piece(memory, piece, found);
  return found;
}

}  // namespace memspy::heap
