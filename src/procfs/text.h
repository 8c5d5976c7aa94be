// Small tools of the parsers in this folder. All of them work on text that may be truncated, from
// another kernel, or hostile: nothing here throws, nothing reads past a view.
#pragma once

#include <charconv>
#include <optional>
#include <string_view>

namespace memspy::procfs::text {

// What the kernel writes behind the path of a file that has no name any more.
inline constexpr std::string_view kDeleted = " (deleted)";

// Cuts the next line (without its '\n') off `rest`; false when nothing is left.
inline bool next_line(std::string_view& rest, std::string_view& line) {
  if (rest.empty()) return false;
  const auto end = rest.find('\n');
  line = rest.substr(0, end);
  rest = end == std::string_view::npos ? std::string_view{} : rest.substr(end + 1);
  return true;
}

inline std::string_view skip_blanks(std::string_view t) {
  const auto at = t.find_first_not_of(" \t");
  return at == std::string_view::npos ? std::string_view{} : t.substr(at);
}

inline std::string_view trim(std::string_view t) {
  t = skip_blanks(t);
  const auto last = t.find_last_not_of(" \t\n");
  return last == std::string_view::npos ? std::string_view{} : t.substr(0, last + 1);
}

// Cuts the next word (between blanks) off `rest`; empty when nothing is left.
inline std::string_view next_word(std::string_view& rest) {
  rest = skip_blanks(rest);
  const auto end = rest.find_first_of(" \t");
  const auto word = rest.substr(0, end);
  rest = end == std::string_view::npos ? std::string_view{} : rest.substr(end);
  return word;
}

// Reads a number off the front of `rest`; fails (and leaves `rest`) when there is none or it
// overflows.
template <typename T>
bool take_number(std::string_view& rest, T& out, int base = 10) {
  const auto [end, ec] = std::from_chars(rest.data(), rest.data() + rest.size(), out, base);
  if (ec != std::errc{}) return false;
  rest.remove_prefix(static_cast<std::size_t>(end - rest.data()));
  return true;
}

inline bool take_char(std::string_view& rest, char c) {
  if (rest.empty() || rest.front() != c) return false;
  rest.remove_prefix(1);
  return true;
}

// The whole of `t` (blanks around it aside) as one number.
template <typename T>
std::optional<T> number(std::string_view t, int base = 10) {
  t = trim(t);
  T value{};
  if (!take_number(t, value, base) || !t.empty()) return std::nullopt;
  return value;
}

}  // namespace memspy::procfs::text
