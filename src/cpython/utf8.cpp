#include "cpython/utf8.h"

#include <cstring>

namespace memspy::cpython {
namespace {

void append(std::string& text, std::uint32_t code) {
  constexpr std::uint32_t kReplacement = 0xfffd;
  if ((code >= 0xd800 && code < 0xe000) || code > 0x10ffff) code = kReplacement;
  const auto put = [&](std::uint32_t byte) { text.push_back(static_cast<char>(byte)); };
  if (code < 0x80) {
    put(code);
  } else if (code < 0x800) {
    put(0xc0 | code >> 6);
    put(0x80 | (code & 0x3f));
  } else if (code < 0x10000) {
    put(0xe0 | code >> 12);
    put(0x80 | (code >> 6 & 0x3f));
    put(0x80 | (code & 0x3f));
  } else {
    put(0xf0 | code >> 18);
    put(0x80 | (code >> 12 & 0x3f));
    put(0x80 | (code >> 6 & 0x3f));
    put(0x80 | (code & 0x3f));
  }
}

}  // namespace

std::string to_utf8(std::span<const std::byte> characters, std::uint32_t unit) {
  std::string text;
  if (unit != 1 && unit != 2 && unit != 4) return text;
  text.reserve(characters.size() / unit);
  for (std::size_t at = 0; at + unit <= characters.size(); at += unit) {
    std::uint32_t code = 0;
    std::memcpy(&code, characters.data() + at, unit);
    append(text, code);
  }
  return text;
}

}  // namespace memspy::cpython
