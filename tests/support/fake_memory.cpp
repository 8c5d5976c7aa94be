#include "support/fake_memory.h"

#include <algorithm>
#include <stdexcept>

namespace memspy::testing {

std::size_t FakeMemory::read_some(RemoteAddr addr, std::span<std::byte> out) const {
  ++reads;
  auto it = segments_.upper_bound(addr);
  if (it == segments_.begin()) return 0;
  --it;
  const std::uint64_t at = addr.value - it->first.value;
  if (at >= it->second.size()) return 0;
  const std::size_t length = std::min<std::size_t>(out.size(), it->second.size() - at);
  std::memcpy(out.data(), it->second.data() + at, length);
  return length;
}

void FakeMemory::add_segment(RemoteAddr start, std::vector<std::byte> bytes) {
  segments_[start] = std::move(bytes);
}

void FakeMemory::add_segment(RemoteAddr start, std::size_t size) {
  segments_[start] = std::vector<std::byte>(size);
}

void FakeMemory::write_bytes(RemoteAddr addr, std::span<const std::byte> bytes) {
  auto it = segments_.upper_bound(addr);
  if (it == segments_.begin()) throw std::logic_error("FakeMemory: write outside any segment");
  --it;
  const std::uint64_t at = addr.value - it->first.value;
  if (at > it->second.size() || bytes.size() > it->second.size() - at) {
    throw std::logic_error("FakeMemory: write past a segment");
  }
  if (!bytes.empty()) std::memcpy(it->second.data() + at, bytes.data(), bytes.size());
}

}  // namespace memspy::testing
