#include "recording/measure.h"

#include <algorithm>
#include <chrono>

#include "base/byte_units.h"
#include "base/duration.h"

namespace memspy::recording {

std::string format_amount(Measure measure, std::uint64_t amount) {
  if (measure == Measure::kBytes) return format_bytes(amount);
  if (measure == Measure::kObjects) return std::to_string(amount);
  if (amount == 0) return "0 µs";  // and not "0 ns": microseconds are counted
  constexpr std::uint64_t kMost = 9'000'000'000'000'000;  // fits nanoseconds: 285 years
  return format_duration(
      std::chrono::microseconds(static_cast<std::int64_t>(std::min(amount, kMost))));
}

std::string format_signed_amount(Measure measure, std::int64_t amount) {
  if (measure == Measure::kBytes) return format_signed_bytes(amount);
  if (amount >= 0)
    return (amount > 0 ? "+" : "") + format_amount(measure, static_cast<std::uint64_t>(amount));
  return "-" + format_amount(measure, ~static_cast<std::uint64_t>(amount) + 1);
}

const char* unit_name(Measure measure) {
  return word_of(measure, "bytes", "microseconds", "objects");
}

}  // namespace memspy::recording
