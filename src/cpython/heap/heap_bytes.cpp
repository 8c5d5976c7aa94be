#include "cpython/heap/heap_bytes.h"

namespace memspy::cpython {
namespace {

// What is read because nothing views it: a structure, a table, a name; never a heap's bulk.
constexpr std::size_t kMaxRead = std::size_t{64} << 20;

}  // namespace

// A view begins where it is asked for: the start of the 2 MiB, of the 64 KiB, of the page are tried
// first, so that what lies a little before is found as well.
HeapBytes::View HeapBytes::look_up(RemoteAddr address) const {
  for (const std::uint64_t unit : {std::uint64_t{1} << kChunkBits, std::uint64_t{1} << 16,
                                   std::uint64_t{1} << 12, std::uint64_t{1}}) {
    const std::uint64_t start = address.value & ~(unit - 1);
    const auto view = memory_->view({start});
    if (view.size() > address.value - start) return {start, view.size(), view.data()};
  }
  return {};
}

std::span<const std::byte> HeapBytes::find(RemoteAddr address, std::size_t size) {
  View& view = views_[slot_of(address)];
  std::uint64_t offset = address.value - view.start;
  if (offset >= view.length) {
    if (const View found = look_up(address); found.length != 0) {
      view = found;
      offset = address.value - view.start;
    }
  }
  if (offset < view.length && size <= view.length - offset) return {view.data + offset, size};
  if (size == 0 || size > kMaxRead) return {};
  if (buffer_.size() < size) buffer_.resize(size);
  const auto out = std::span(buffer_).first(size);
  return memory_->read_some(address, out) == size ? std::span<const std::byte>(out)
                                                  : std::span<const std::byte>{};
}

}  // namespace memspy::cpython
