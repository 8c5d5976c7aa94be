#include "cpython/text.h"

#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <vector>

#include "cpython/memory_copy.h"

namespace memspy::cpython {
namespace {

// No string of the interpreter is longer; a bigger length means that the bytes are not a string.
constexpr std::uint64_t kMaxLength = std::uint64_t{1} << 40;
constexpr std::uint32_t kMaxCodePoint = 0x10ffff;
constexpr std::uint32_t kFirstSurrogate = 0xd800, kLastSurrogate = 0xdfff;

Error not_a_string(RemoteAddr addr, std::string_view why) {
  return make_error(Errc::kCorrupt, fmt::format("no string at {:#x}: {}", addr.value, why));
}

bool is_ready(const Layout& layout, std::uint32_t state) {
  return layout.strategies.unicode == UnicodeKind::kAlways || (state & kUnicodeStateReady) != 0;
}

std::uint32_t character(std::span<const std::byte> bytes, std::size_t index, unsigned width) {
  if (width == 1) return load<std::uint8_t>(bytes, index);
  if (width == 2) return load<std::uint16_t>(bytes, 2 * index);
  return load<std::uint32_t>(bytes, 4 * index);
}

void append_utf8(std::string& out, std::uint32_t c) {
  const auto put = [&out](std::uint32_t byte) { out.push_back(static_cast<char>(byte)); };
  const auto tail = [&](unsigned shift) { put(0x80 | ((c >> shift) & 0x3f)); };
  if (c < 0x80) {
    put(c);
  } else if (c < 0x800) {
    put(0xc0 | (c >> 6)), tail(0);
  } else if (c < 0x10000) {
    put(0xe0 | (c >> 12)), tail(6), tail(0);
  } else {
    put(0xf0 | (c >> 18)), tail(12), tail(6), tail(0);
  }
}

}  // namespace

std::size_t text_head_size(const Layout& layout) {
  const std::size_t pointer = layout.offset(Field::kUnicodeDataPointer) + sizeof(std::uint64_t);
  return std::max<std::size_t>(pointer, layout.offset(Field::kUnicodeCompactData));
}

Result<TextShape> text_shape(const Layout& layout, RemoteAddr addr,
                             std::span<const std::byte> head) {
  // A compact ASCII string may end before the fields of the others begin.
  if (head.size() < layout.offset(Field::kUnicodeAsciiData)) {
    return make_error(Errc::kUnreadable, fmt::format("string at {:#x}", addr.value));
  }
  const auto state = load<std::uint32_t>(head, layout.offset(Field::kUnicodeState));
  TextShape shape;
  shape.length = load<std::uint64_t>(head, layout.offset(Field::kUnicodeLength));
  shape.width = (state >> kUnicodeStateKindShift) & kUnicodeStateKindMask;
  shape.ascii = (state & kUnicodeStateAscii) != 0;
  if (shape.width != 1 && shape.width != 2 && shape.width != 4) {
    return not_a_string(addr, fmt::format("kind {}", shape.width));
  }
  if (shape.length > kMaxLength) return not_a_string(addr, fmt::format("length {}", shape.length));
  if (shape.ascii && shape.width != 1) return not_a_string(addr, "wide ASCII");
  if (!is_ready(layout, state)) return not_a_string(addr, "not ready");
  if ((state & kUnicodeStateCompact) == 0) {
    const auto pointer = load<std::uint64_t>(head, layout.offset(Field::kUnicodeDataPointer));
    shape.characters = RemoteAddr{pointer};
    if (pointer == 0) return not_a_string(addr, "no characters");
  } else {
    const Field data = shape.ascii ? Field::kUnicodeAsciiData : Field::kUnicodeCompactData;
    shape.characters = addr + layout.offset(data);
  }
  return shape;
}

Result<std::string> decode_text(std::span<const std::byte> characters, const TextShape& shape) {
  const std::size_t count = characters.size() / shape.width;
  std::string out;
  out.reserve(count + count / 2);
  for (std::size_t i = 0; i < count; ++i) {
    const std::uint32_t c = character(characters, i, shape.width);
    if (c == 0 || c > kMaxCodePoint || (shape.ascii && c >= 0x80)) {
      return not_a_string(shape.characters, fmt::format("code point {:#x}", c));
    }
    if (c >= kFirstSurrogate && c <= kLastSurrogate) {
      out += fmt::format("\\u{:04x}", c);
    } else {
      append_utf8(out, c);
    }
  }
  return out;
}

Result<std::string> read_text(const MemoryReader& memory, const Layout& layout, RemoteAddr addr,
                              std::size_t cap) {
  MemoryCopy copy(memory);
  copy.want(addr, text_head_size(layout));
  copy.fetch();
  MEMSPY_TRY(shape, text_shape(layout, addr, copy.find_prefix(addr, text_head_size(layout))));
  const std::size_t length = std::min<std::size_t>(shape.length, cap);
  std::vector<std::byte> characters(length * shape.width);
  MEMSPY_CHECK(read_exact(memory, shape.characters, characters));
  MEMSPY_TRY(text, decode_text(characters, shape));
  if (length < shape.length) text += "…";
  return text;
}

}  // namespace memspy::cpython
