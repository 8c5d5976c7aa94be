#include "cpython/version.h"

#include <cctype>
#include <charconv>

#include <spdlog/fmt/fmt.h>

#include "base/path.h"

namespace memspy::cpython {
namespace {

// Takes a decimal number off the front; nullopt when there is none.
std::optional<int> take_number(std::string_view& text) {
  int number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || number < 0) return std::nullopt;
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  return number;
}

}  // namespace

std::string Version::text() const {
  if (hex == 0) return fmt::format("{}.{}", major, minor);
  const std::uint32_t level = hex >> 4 & 0xf;
  const std::string_view tag = level == 0xa ? "a" : level == 0xb ? "b" : level == 0xc ? "rc" : "";
  std::string result = fmt::format("{}.{}.{}", major, minor, patch);
  if (!tag.empty()) result += fmt::format("{}{}", tag, hex & 0xf);
  return result;
}

std::optional<Version> version_from_hex(std::uint64_t hex) {
  const std::uint64_t level = hex >> 4 & 0xf;
  const std::uint64_t major = hex >> 24;
  if ((major != 2 && major != 3) || (level != 0xf && (level < 0xa || level > 0xc)))
    return std::nullopt;
  Version version;
  version.major = static_cast<int>(major);
  version.minor = static_cast<int>(hex >> 16 & 0xff);
  version.patch = static_cast<int>(hex >> 8 & 0xff);
  version.hex = static_cast<std::uint32_t>(hex);
  return version;
}

std::optional<Version> version_from_file_name(std::string_view path) {
  std::string_view rest = base_name(path);
  const bool library = rest.starts_with("libpython");
  if (library) rest.remove_prefix(3);
  if (!rest.starts_with("python")) return std::nullopt;
  rest.remove_prefix(6);
  Version version;
  const auto major = take_number(rest);
  if (!major || !rest.starts_with('.')) return std::nullopt;
  rest.remove_prefix(1);
  const auto minor = take_number(rest);
  if (!minor) return std::nullopt;
  version.major = *major;
  version.minor = *minor;
  for (; !rest.empty() && std::islower(static_cast<unsigned char>(rest[0])) != 0;
       rest.remove_prefix(1)) {
    if (rest[0] == 't') version.free_threaded = true;
    if (rest[0] == 'd') version.debug_build = true;  // 'm' and 'u' said something up to 3.7
  }
  // "python3.11-gdb.py" and the like are no interpreters.
  if (!rest.empty() && !(library && rest.starts_with(".so"))) return std::nullopt;
  return version;
}

bool is_libpython(std::string_view path) {
  return base_name(path).starts_with("libpython") && version_from_file_name(path).has_value();
}

}  // namespace memspy::cpython
