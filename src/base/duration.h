// Durations from and for people.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "memspy/result.h"

namespace memspy {

// "100ms", "1s", "2.5s", "250us", "10m", "2h", "1d". A bare number is an error unless
// `bare_seconds`: peers read a bare interval as microseconds, nanoseconds and seconds.
Result<std::chrono::nanoseconds> parse_duration(std::string_view text, bool bare_seconds);

// Two significant units at most: "240 µs", "1.1 ms", "12.3 s", "4 min 10 s", "3 h 2 min".
std::string format_duration(std::chrono::nanoseconds duration);

// What a rate is per: "s", "sec", "m", "min", "h", "hour", "d", "day", in seconds.
std::optional<double> rate_seconds(std::string_view unit);

inline double to_seconds(std::chrono::nanoseconds d) {
  return std::chrono::duration<double>(d).count();
}

// After so long something that took `price` may be done again, where it may take `share` of the
// time.
inline std::chrono::nanoseconds earned_by(std::chrono::nanoseconds price, double share) {
  constexpr double kSmallestShare = 1e-7, kLongest = 24 * 3600;
  const double seconds = to_seconds(price) / (share > kSmallestShare ? share : kSmallestShare);
  return std::chrono::nanoseconds(
      static_cast<std::int64_t>(1e9 * (seconds < kLongest ? seconds : kLongest)));
}

}  // namespace memspy
