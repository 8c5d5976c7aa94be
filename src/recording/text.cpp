#include "recording/text.h"

#include <spdlog/fmt/chrono.h>
#include <spdlog/fmt/fmt.h>

namespace memspy::recording {
namespace {

std::string escaped(char c) {
  if (c == '\n') return "\\n";
  if (c == '\r') return "\\r";
  if (c == '\t') return "\\t";
  if (c == '\\') return "\\\\";
  return fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
}

// The code point of a character of three bytes, which utf8_length() has found to be one.
unsigned of_three_bytes(std::string_view text, std::size_t at) {
  const auto bits = [&](std::size_t i, unsigned mask) {
    return static_cast<unsigned char>(text[at + i]) & mask;
  };
  return bits(0, 0x0fU) << 12U | bits(1, 0x3fU) << 6U | bits(2, 0x3fU);
}

// What a reader does not see, or sees at another place. web/src/format.ts has the same list.
bool is_deceptive(unsigned point) {
  return point == 0x061c || (point >= 0x200b && point <= 0x200f) ||
         (point >= 0x2028 && point <= 0x202e) || (point >= 0x2060 && point <= 0x206f) ||
         point == 0xfeff;
}

// 0: none, or one that is as it looks.
unsigned deceptive_at(std::string_view text, std::size_t at, std::size_t length) {
  unsigned point = 0;
  if (length == 3) point = of_three_bytes(text, at);
  if (text.substr(at, length) == "\xd8\x9c") point = 0x061c;
  return is_deceptive(point) ? point : 0;
}

}  // namespace

std::size_t utf8_length(std::string_view text, std::size_t at) {
  const auto byte = [&](std::size_t i) -> unsigned {
    return i < text.size() ? static_cast<unsigned char>(text[i]) : 0U;
  };
  const auto continues = [&](std::size_t i) { return (byte(i) & 0xc0U) == 0x80U; };
  const unsigned lead = byte(at);
  if (at >= text.size()) return 0;
  if (lead < 0x80) return 1;
  if (lead >= 0xc2 && lead <= 0xdf) return continues(at + 1) ? 2 : 0;
  if (lead >= 0xe0 && lead <= 0xef) {
    if (!continues(at + 1) || !continues(at + 2)) return 0;
    // Overlong forms, and the halves of UTF-16 pairs that Python's surrogateescape makes.
    if (lead == 0xe0 && byte(at + 1) < 0xa0) return 0;
    if (lead == 0xed && byte(at + 1) > 0x9f) return 0;
    return 3;
  }
  if (lead >= 0xf0 && lead <= 0xf4) {
    if (!continues(at + 1) || !continues(at + 2) || !continues(at + 3)) return 0;
    if (lead == 0xf0 && byte(at + 1) < 0x90) return 0;
    if (lead == 0xf4 && byte(at + 1) > 0x8f) return 0;
    return 4;
  }
  return 0;
}

std::string escape_text(std::string_view text, std::string_view also) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t at = 0; at < text.size();) {
    const char c = text[at];
    const std::size_t length = utf8_length(text, at);
    const auto byte = static_cast<unsigned char>(c);
    // U+0080 to U+009f are control characters too (c2 80 … c2 9f): some terminals obey them.
    const bool high_control =
        length == 2 && byte == 0xc2 && static_cast<unsigned char>(text[at + 1]) < 0xa0;
    if (length == 0 || byte < 0x20 || byte == 0x7f || also.find(c) != std::string_view::npos) {
      out += escaped(c);
      ++at;
    } else if (high_control) {
      out += escaped(c) + escaped(text[at + 1]);
      at += 2;
    } else if (const unsigned point = deceptive_at(text, at, length); point != 0) {
      out += fmt::format("\\u{:04x}", point);
      at += length;
    } else {
      out.append(text.substr(at, length));
      at += length;
    }
  }
  return out;
}

std::string utc_time(std::chrono::nanoseconds since_epoch) {
  using std::chrono::milliseconds;
  const auto ms = std::chrono::floor<milliseconds>(since_epoch);
  const auto seconds = std::chrono::floor<std::chrono::seconds>(ms);
  const auto count = static_cast<std::time_t>(seconds.count());
  // Years beyond four digits come from a broken file only.
  if (count < 0 || count > 253402300799) return "1970-01-01T00:00:00.000Z";
  return fmt::format("{:%Y-%m-%dT%H:%M:%S}.{:03}Z", fmt::gmtime(count), (ms - seconds).count());
}

}  // namespace memspy::recording
