// Memory made of segments of bytes, as a target's would be: reads stop at the end of a segment.
#pragma once

#include <cstddef>
#include <cstring>
#include <map>
#include <vector>

#include "memspy/memory_reader.h"

namespace memspy::testing {

class FakeMemory final : public MemoryReader {
 public:
  std::size_t read_some(RemoteAddr addr, std::span<std::byte> out) const override;

  void add_segment(RemoteAddr start, std::vector<std::byte> bytes);
  void add_segment(RemoteAddr start, std::size_t size);  // zero filled
  // Writes into an existing segment; fails the test when it does not fit.
  void write_bytes(RemoteAddr addr, std::span<const std::byte> bytes);
  template <typename T>
  void write(RemoteAddr addr, const T& value) {
    static_assert(std::is_trivially_copyable_v<T>);
    write_bytes(addr, std::as_bytes(std::span(&value, 1)));
  }
  const std::map<RemoteAddr, std::vector<std::byte>>& segments() const { return segments_; }
  std::map<RemoteAddr, std::vector<std::byte>>& segments() { return segments_; }

  // How many reads were asked for: a test can hold a reader to "a handful of reads".
  mutable std::size_t reads = 0;

 private:
  std::map<RemoteAddr, std::vector<std::byte>> segments_;
};

}  // namespace memspy::testing
