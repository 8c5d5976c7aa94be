#include "cpython/text.h"

#include <spdlog/fmt/fmt.h>

#include <algorithm>

#include "cpython/memory_copy.h"
#include "cpython/utf8.h"

namespace memspy::cpython {
namespace {

// No string is longer; a bigger length means that the bytes are not a string.
constexpr std::uint64_t kMaxLength = std::uint64_t{1} << 40;
constexpr std::uint32_t kMaxCodePoint = 0x10ffff;

Error not_a_string(RemoteAddr addr, std::string_view why) {
  return make_error(Errc::kCorrupt, fmt::format("no string at {:#x}: {}", addr.value, why));
}

bool is_ready(const Layout& layout, std::uint64_t state) {
  return layout.strategies.unicode == UnicodeKind::kAlways || (state & kUnicodeStateReady) != 0;
}

}  // namespace

std::size_t text_head_size(const Layout& layout) {
  return std::max(layout.offset(Field::kUnicodeDataPointer) + std::uint32_t{8},
                  layout.offset(Field::kUnicodeCompactData));
}

Result<TextShape> text_shape(const Layout& layout, RemoteAddr addr,
                             std::span<const std::byte> head) {
  const auto get = [&](Field field) {
    return field_of(head, layout.slots[static_cast<std::size_t>(field)]);
  };
  // A compact ASCII string may end before the fields of the others begin.
  if (head.size() < layout.offset(Field::kUnicodeAsciiData)) {
    return make_error(Errc::kUnreadable, fmt::format("string at {:#x}", addr.value));
  }
  const std::uint64_t state = get(Field::kUnicodeState);
  TextShape shape;
  shape.length = get(Field::kUnicodeLength);
  shape.width = (state >> kUnicodeStateKindShift) & kUnicodeStateKindMask;
  shape.ascii = (state & kUnicodeStateAscii) != 0;
  if (shape.width != 1 && shape.width != 2 && shape.width != 4) {
    return not_a_string(addr, fmt::format("kind {}", shape.width));
  }
  if (shape.length > kMaxLength) return not_a_string(addr, fmt::format("length {}", shape.length));
  if (shape.ascii && shape.width != 1) return not_a_string(addr, "wide ASCII");
  if (!is_ready(layout, state)) return not_a_string(addr, "not ready");
  if ((state & kUnicodeStateCompact) != 0) {
    const Field data = shape.ascii ? Field::kUnicodeAsciiData : Field::kUnicodeCompactData;
    shape.characters = addr + layout.offset(data);
  } else {
    shape.characters = RemoteAddr{get(Field::kUnicodeDataPointer)};
  }
  if (!shape.characters) return not_a_string(addr, "no characters");
  return shape;
}

Result<std::string> decode_text(std::span<const std::byte> characters, const TextShape& shape) {
  for (std::size_t at = 0; at + shape.width <= characters.size(); at += shape.width) {
    const auto width = static_cast<std::uint16_t>(shape.width);
    const std::uint64_t c = field_of(characters.subspan(at), {0, width});
    if (c == 0 || c > kMaxCodePoint || (shape.ascii && c >= 0x80)) {
      return not_a_string(shape.characters, fmt::format("code point {:#x}", c));
    }
  }
  return to_utf8(characters, shape.width);
}

}  // namespace memspy::cpython
