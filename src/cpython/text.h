// Python strings (PyUnicodeObject) as UTF-8. Pure: the caller reads, these functions look at bytes,
// so that many strings can be read in one batch.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "cpython/layout.h"
#include "memspy/memory_reader.h"

namespace memspy::cpython {

// Where the characters of a string are, as its head tells.
struct TextShape {
  RemoteAddr characters;     // behind the head, or elsewhere (strings of the old API)
  std::uint64_t length = 0;  // characters
  unsigned width = 1;        // bytes per character: 1, 2 or 4
  bool ascii = false;
};

// Bytes from the start of a string that text_shape() must see.
std::size_t text_head_size(const Layout& layout);
// `head`: the bytes at `addr`. kCorrupt when they cannot be a string's.
Result<TextShape> text_shape(const Layout& layout, RemoteAddr addr, std::span<const std::byte> head);

// Latin-1, UCS-2 or UCS-4 to UTF-8. Lone surrogates (bytes of a file name that were not text) become
// \udcNN, as in Python's own messages. kCorrupt: no such code points, or NUL.
Result<std::string> decode_text(std::span<const std::byte> characters, const TextShape& shape);

// Reads one string; characters behind `cap` are cut and replaced by "…". For code that is not in a
// hurry: two or three reads.
Result<std::string> read_text(const MemoryReader& memory, const Layout& layout, RemoteAddr addr,
                              std::size_t cap);

}  // namespace memspy::cpython
