// The one port to a target's memory: a live process, a core file, a fake in a test. No pid, maps or
// Python in it. Implementations are used by one thread at a time unless they say otherwise.
#pragma once

#include <cstddef>
#include <cstring>
#include <span>
#include <string>
#include <type_traits>
#include <vector>

#include "memspy/address.h"
#include "memspy/result.h"

namespace memspy {

// One piece of a batched read. `done` is set by read_many: the length of the prefix that was
// filled.
struct ReadRequest {
  RemoteAddr addr;
  std::span<std::byte> out;
  std::size_t done = 0;
  bool complete() const { return done == out.size(); }
};

class MemoryReader {
 public:
  virtual ~MemoryReader() = default;
  // Fills a prefix of `out` and returns its length; 0 means nothing at `addr` is readable.
  virtual std::size_t read_some(RemoteAddr addr, std::span<std::byte> out) const = 0;
  // Fills every request as far as it can be; one that fails does not spoil the others.
  // Default: a loop over read_some; a live process batches them into few system calls.
  virtual void read_many(std::span<ReadRequest> requests) const;
  // What lies at `addr` and behind it in memspy's own memory already, as far as it is contiguous
  // there: a copy or a core file hands out its bytes instead of copying them again. Empty: nothing
  // does (a live process, a hole). The bytes neither move nor change while the reader lives; they
  // are the target's, unaligned and hostile: load from them with memcpy.
  virtual std::span<const std::byte> view(RemoteAddr addr) const;
};

// Exactness lives here, outside the port.
Result<Unit> read_exact(const MemoryReader& memory, RemoteAddr addr, std::span<std::byte> out);

// A NUL-terminated string of at most `cap` bytes; longer ones are cut at `cap`.
Result<std::string> read_c_string(const MemoryReader& memory, RemoteAddr addr, std::size_t cap);

template <typename T>
Result<T> read(const MemoryReader& memory, RemoteAddr addr) {
  static_assert(std::is_trivially_copyable_v<T>);
  T value{};
  MEMSPY_CHECK(read_exact(memory, addr, std::as_writable_bytes(std::span(&value, 1))));
  return value;
}

}  // namespace memspy
