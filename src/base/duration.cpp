#include "base/duration.h"

#include <array>
#include <charconv>
#include <cmath>

#include <spdlog/fmt/fmt.h>

namespace memspy {

Result<std::chrono::nanoseconds> parse_duration(std::string_view text, bool bare_seconds) {
  struct UnitName {
    std::string_view name;
    double nanoseconds;
  };
  constexpr std::array kUnits = {
      UnitName{"ns", 1},     UnitName{"us", 1e3},   UnitName{"µs", 1e3},
      UnitName{"ms", 1e6},   UnitName{"s", 1e9},    UnitName{"m", 60e9},
      UnitName{"min", 60e9}, UnitName{"h", 3600e9}, UnitName{"d", 86400e9}};
  double number = 0;
  const auto [rest, ec] = std::from_chars(text.data(), text.data() + text.size(), number);
  std::string_view unit(rest, static_cast<std::size_t>(text.data() + text.size() - rest));
  while (!unit.empty() && unit.front() == ' ') unit.remove_prefix(1);
  const auto bad = [&](std::string_view reason) {
    return make_error(Errc::kUsage, fmt::format("not a duration: \"{}\" ({})", text, reason));
  };
  if (ec != std::errc{}) return bad("write it as 100ms, 1s or 10m");
  if (!std::isfinite(number)) return bad("write it as 100ms, 1s or 10m");
  if (number < 0) return bad("it is negative");
  double scale = 0;
  if (unit.empty()) {
    if (!bare_seconds) return bad("a unit is needed: 100ms, 1s, 10m");
    scale = 1e9;
  }
  for (const auto& known : kUnits) {
    if (unit == known.name) scale = known.nanoseconds;
  }
  if (scale == 0) return bad("units are us, ms, s, m, h, d");
  if (number * scale >= 9e18) return bad("too long");
  return std::chrono::nanoseconds(static_cast<std::int64_t>(number * scale));
}

std::string format_duration(std::chrono::nanoseconds duration) {
  const double ns = static_cast<double>(duration.count());
  if (ns < 0) return "-" + format_duration(-duration);
  if (ns < 1e3) return fmt::format("{:.0f} ns", ns);
  if (ns < 1e6) return fmt::format("{:.0f} µs", ns / 1e3);
  if (ns < 1e9) return fmt::format("{:.1f} ms", ns / 1e6);
  if (ns < 60e9) return fmt::format("{:.1f} s", ns / 1e9);
  const auto seconds = static_cast<std::int64_t>(ns / 1e9);
  if (seconds < 3600) return fmt::format("{} min {} s", seconds / 60, seconds % 60);
  if (seconds < 86400) return fmt::format("{} h {} min", seconds / 3600, seconds / 60 % 60);
  return fmt::format("{} d {} h", seconds / 86400, seconds / 3600 % 24);
}

std::optional<double> rate_seconds(std::string_view unit) {
  struct RateUnit {
    std::string_view name;
    double seconds;
  };
  constexpr std::array kUnits{RateUnit{"s", 1},     RateUnit{"sec", 1},    RateUnit{"m", 60},
                              RateUnit{"min", 60},  RateUnit{"h", 3600},   RateUnit{"hour", 3600},
                              RateUnit{"d", 86400}, RateUnit{"day", 86400}};
  for (const RateUnit& known : kUnits)
    if (known.name == unit) return known.seconds;
  return std::nullopt;
}

}  // namespace memspy
