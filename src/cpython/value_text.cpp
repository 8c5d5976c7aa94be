#include "cpython/value_text.h"

#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <cmath>
#include <vector>

namespace memspy::cpython {
namespace {

char quote_for(std::string_view text) {
  const bool single = text.find('\'') != std::string_view::npos;
  return single && text.find('"') == std::string_view::npos ? '"' : '\'';
}

void append_escaped(std::string& out, unsigned char c, char quote) {
  switch (c) {
    case '\n':
      out += "\\n";
      return;
    case '\r':
      out += "\\r";
      return;
    case '\t':
      out += "\\t";
      return;
    default:
      break;
  }
  if (c == '\\' || c == static_cast<unsigned char>(quote)) {
    out += '\\';
    out += static_cast<char>(c);
  } else if (c < 0x20 || c == 0x7f) {
    out += fmt::format("\\x{:02x}", c);
  } else {
    out += static_cast<char>(c);
  }
}

// U+0080 to U+009F: terminals take them for commands.
bool is_c1_control(std::string_view text, std::size_t at) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  return byte(at) == 0xc2 && at + 1 < text.size() && byte(at + 1) < 0xa0;
}

}  // namespace

std::string decimal(std::span<const std::uint32_t> digits, bool negative) {
  constexpr std::uint64_t kChunk = 1'000'000'000;  // nine decimal digits at a time
  std::vector<std::uint32_t> rest(digits.begin(), digits.end());
  std::vector<std::uint32_t> chunks;
  const auto strip = [&rest] {
    while (!rest.empty() && rest.back() == 0) rest.pop_back();
  };
  for (strip(); !rest.empty(); strip()) {
    std::uint64_t carry = 0;
    for (std::size_t i = rest.size(); i-- > 0;) {
      const std::uint64_t value = (carry << 30) | (rest[i] & 0x3fffffff);
      rest[i] = static_cast<std::uint32_t>(value / kChunk);
      carry = value % kChunk;
    }
    chunks.push_back(static_cast<std::uint32_t>(carry));
  }
  if (chunks.empty()) return "0";
  std::string text = negative ? "-" : "";
  text += fmt::format("{}", chunks.back());
  for (std::size_t i = chunks.size() - 1; i-- > 0;) text += fmt::format("{:09}", chunks[i]);
  return text;
}

std::string float_repr(double value) {
  if (std::isnan(value)) return "nan";
  std::string text = fmt::format("{}", value);
  if (text.find_first_of(".en") == std::string::npos) text += ".0";
  return text;
}

std::string str_repr(std::string_view utf8) {
  const char quote = quote_for(utf8);
  std::string out(1, quote);
  for (std::size_t i = 0; i < utf8.size(); ++i) {
    if (is_c1_control(utf8, i)) {
      out += fmt::format("\\x{:02x}", static_cast<unsigned char>(utf8[++i]));
    } else {
      append_escaped(out, static_cast<unsigned char>(utf8[i]), quote);
    }
  }
  return out + quote;
}

std::string bytes_repr(std::string_view bytes) {
  const char quote = quote_for(bytes);
  std::string out = fmt::format("b{}", quote);
  for (const char byte : bytes) {
    const auto c = static_cast<unsigned char>(byte);
    if (c >= 0x80) {
      out += fmt::format("\\x{:02x}", c);
    } else {
      append_escaped(out, c, quote);
    }
  }
  return out + quote;
}

}  // namespace memspy::cpython
