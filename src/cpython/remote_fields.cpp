#include "cpython/remote_fields.h"

#include <spdlog/fmt/fmt.h>

#include "cpython/layouts.h"

namespace memspy::cpython {
namespace {

// No structure that is copied whole is larger; the large ones are read field by field.
constexpr std::size_t kMaxBlock = 64 * 1024;

}  // namespace

std::optional<std::uint64_t> load(std::span<const std::byte> bytes, std::size_t offset,
                                  std::size_t width) {
  if (width > sizeof(std::uint64_t) || width > bytes.size() || offset > bytes.size() - width) {
    return std::nullopt;
  }
  std::uint64_t value = 0;
  std::memcpy(&value, bytes.data() + offset, width);  // x86-64: little endian
  return value;
}

std::int64_t sign_extend(std::uint64_t value, std::size_t width) {
  if (width == 0 || width >= sizeof(value)) return static_cast<std::int64_t>(value);
  const unsigned shift = static_cast<unsigned>(64 - 8 * width);
  return static_cast<std::int64_t>(value << shift) >> shift;
}

Result<Block> Block::read(const MemoryReader& memory, RemoteAddr address, std::size_t size) {
  if (size == 0 || size > kMaxBlock) {
    return make_error(Errc::kCorrupt, fmt::format("structure of {} bytes", size));
  }
  if (!is_plausible(address)) {
    return make_error(Errc::kCorrupt,
                      fmt::format("{:#x} is not the address of a structure", address.value));
  }
  Block block;
  block.address_ = address;
  block.bytes_.resize(size);
  MEMSPY_CHECK(read_exact(memory, address, block.bytes_));
  return block;
}

std::uint64_t Block::get(const Layout& layout, Field field) const {
  const Slot slot = layout.slots[static_cast<std::size_t>(field)];
  return load(bytes_, slot.offset, slot.width).value_or(0);
}

std::int64_t Block::get_signed(const Layout& layout, Field field) const {
  return sign_extend(get(layout, field), layout.slots[static_cast<std::size_t>(field)].width);
}

Result<std::uint64_t> read_field(const MemoryReader& memory, const Layout& layout, RemoteAddr base,
                                 Field field) {
  const auto slot = layout.find(field);
  if (!slot || slot->width > sizeof(std::uint64_t)) {
    return make_error(Errc::kCorrupt,
                      fmt::format("layout \"{}\" has no {}", layout.source, field_name(field)));
  }
  std::uint64_t value = 0;
  MEMSPY_CHECK(read_exact(memory, base + slot->offset,
                          std::as_writable_bytes(std::span(&value, 1)).first(slot->width)));
  return value;
}

Result<RemoteAddr> read_pointer(const MemoryReader& memory, const Layout& layout, RemoteAddr base,
                                Field field) {
  MEMSPY_TRY(value, read_field(memory, layout, base, field));
  const RemoteAddr pointer{value};
  if (pointer && !is_plausible(pointer)) {
    return make_error(Errc::kCorrupt,
                      fmt::format("{} at {:#x} is {:#x}, not a pointer", field_name(field),
                                  (base + layout.offset(field)).value, value));
  }
  return pointer;
}

}  // namespace memspy::cpython
