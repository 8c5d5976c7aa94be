// Fields of structures in the target, by layout. Everything is copied out with memcpy and bounded;
// a pointer is checked for plausibility before it is followed.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "cpython/layout.h"
#include "memspy/memory_reader.h"

namespace memspy::cpython {

// User addresses on x86-64 end here; a "pointer" above is garbage.
inline constexpr std::uint64_t kUserAddressEnd = 1ULL << 47;
// Nothing is mapped below; small numbers misread as pointers end here.
inline constexpr std::uint64_t kUserAddressBegin = 0x1000;

// May this be the address of a Python object or of one of the interpreter's structures?
inline bool is_plausible(RemoteAddr address) {
  return address.value % 8 == 0 && address.value >= kUserAddressBegin &&
         address.value < kUserAddressEnd;
}

// `width` bytes at `offset`, little endian; nullopt outside of `bytes` or for a width above 8.
std::optional<std::uint64_t> load(std::span<const std::byte> bytes, std::size_t offset,
                                  std::size_t width);
// The two's complement of a value of `width` bytes.
std::int64_t sign_extend(std::uint64_t value, std::size_t width);

// A structure copied out of the target in one read. A field outside of what was copied reads as 0,
// which validate() excludes for every field of the structure itself.
class Block {
 public:
  static Result<Block> read(const MemoryReader& memory, RemoteAddr address, std::size_t size);

  RemoteAddr address() const { return address_; }
  std::span<const std::byte> bytes() const { return bytes_; }
  std::uint64_t get(const Layout& layout, Field field) const;
  std::int64_t get_signed(const Layout& layout, Field field) const;
  RemoteAddr pointer(const Layout& layout, Field field) const { return {get(layout, field)}; }

 private:
  RemoteAddr address_;
  std::vector<std::byte> bytes_;
};

// One field in one read; kCorrupt when the layout has no such field.
Result<std::uint64_t> read_field(const MemoryReader& memory, const Layout& layout, RemoteAddr base,
                                 Field field);
// A pointer that is null or plausible; kCorrupt else.
Result<RemoteAddr> read_pointer(const MemoryReader& memory, const Layout& layout, RemoteAddr base,
                                Field field);

}  // namespace memspy::cpython
