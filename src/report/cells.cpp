#include "report/cells.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>

#include <spdlog/fmt/fmt.h>

#include "base/digits.h"

namespace memspy::report {
namespace {

using recording::Measure;

// A file may claim any growth in any time.
std::int64_t whole(double rate) {
  constexpr double kMost = 9e18;
  return std::isnan(rate) ? 0 : std::llround(std::clamp(rate, -kMost, kMost));
}

const char* rate_unit(Measure measure) { return measure == Measure::kBytes ? "/min" : "/s"; }

}  // namespace

std::string letter(std::size_t index) {
  return index < 26 ? std::string(1, static_cast<char>('A' + index))
                    : fmt::format("#{}", index + 1);
}

std::string signed_count(std::int64_t count) {
  const std::string digits = grouped_digits(static_cast<std::uint64_t>(std::abs(count)));
  return count == 0 ? "0" : (count < 0 ? "-" : "+") + digits;
}

std::string rate_text(Measure measure, double rate) {
  return recording::format_amount(measure, static_cast<std::uint64_t>(std::abs(whole(rate)))) +
         rate_unit(measure);
}

std::string signed_rate_text(Measure measure, double rate) {
  return recording::format_signed_amount(measure, whole(rate)) + rate_unit(measure);
}

std::string whole_percent(std::uint64_t part, std::uint64_t whole) {
  if (whole == 0) return "0";
  return fmt::format("{:.0f}", 100 * static_cast<double>(part) / static_cast<double>(whole));
}

}  // namespace memspy::report
