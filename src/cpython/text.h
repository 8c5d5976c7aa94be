// Python strings (PyUnicodeObject) from bytes already read, so that many can be read in one batch.
// ObjectReader::read_str is for one string at a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "cpython/layout.h"
#include "memspy/address.h"
#include "memspy/result.h"

namespace memspy::cpython {

// Where the characters of a string are, as its head tells.
struct TextShape {
  RemoteAddr characters;     // behind the head, or elsewhere (strings of the old API)
  std::uint64_t length = 0;  // characters
  std::uint32_t width = 1;   // bytes per character: 1, 2 or 4
  bool ascii = false;
};

// Bytes from the start of a string that tell the shape of all but the shortest strings.
std::size_t text_head_size(const Layout& layout);
// `head`: the bytes at `addr`. kCorrupt when they cannot be a string's.
Result<TextShape> text_shape(const Layout& layout, RemoteAddr addr,
                             std::span<const std::byte> head);

// To UTF-8. kCorrupt for NUL and for what is no code point: a name or a path has neither. Lone
// surrogates, which stand for bytes of a path that are not text, become U+FFFD.
Result<std::string> decode_text(std::span<const std::byte> characters, const TextShape& shape);

}  // namespace memspy::cpython
