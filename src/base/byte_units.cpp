#include "base/byte_units.h"

#include <array>
#include <charconv>
#include <cmath>

#include <spdlog/fmt/fmt.h>

namespace memspy {

std::string format_bytes(std::uint64_t bytes) {
  constexpr std::array kUnits = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
  if (bytes < 1024) return fmt::format("{} B", bytes);
  double value = static_cast<double>(bytes);
  std::size_t unit = 0;
  // 1023.95 would print as "1024.0": the next unit begins where rounding would reach it.
  while (value >= 1023.95 && unit + 1 < kUnits.size()) {
    value /= 1024;
    ++unit;
  }
  return value < 99.95 ? fmt::format("{:.1f} {}", value, kUnits[unit])
                       : fmt::format("{:.0f} {}", value, kUnits[unit]);
}

std::string format_signed_bytes(std::int64_t bytes) {
  if (bytes == 0) return "0 B";
  const auto magnitude =
      bytes < 0 ? ~static_cast<std::uint64_t>(bytes) + 1 : static_cast<std::uint64_t>(bytes);
  return (bytes < 0 ? "-" : "+") + format_bytes(magnitude);
}

Result<std::uint64_t> parse_bytes(std::string_view text) {
  double number = 0;
  const auto [rest, ec] = std::from_chars(text.data(), text.data() + text.size(), number);
  std::string_view unit(rest, static_cast<std::size_t>(text.data() + text.size() - rest));
  while (!unit.empty() && unit.front() == ' ') unit.remove_prefix(1);
  const auto bad = [&] {
    return make_error(Errc::kUsage,
                      fmt::format("not a size: \"{}\" (write it as 500MiB or 2GiB)", text));
  };
  if (ec != std::errc{} || !(number >= 0)) return bad();
  int power = 0;
  if (!unit.empty() && unit != "B" && unit != "b") {
    constexpr std::string_view kLetters = "kmgtp";
    const auto at = kLetters.find(static_cast<char>(unit.front() | 0x20));
    const auto tail = unit.substr(1);
    if (at == std::string_view::npos ||
        !(tail.empty() || tail == "iB" || tail == "B" || tail == "ib" || tail == "b")) {
      return bad();
    }
    power = static_cast<int>(at) + 1;
  }
  const double bytes = std::ldexp(number, 10 * power);
  if (bytes >= 9e18) return bad();
  return static_cast<std::uint64_t>(bytes);
}

}  // namespace memspy
