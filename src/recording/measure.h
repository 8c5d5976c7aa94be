// What the numbers of a profile count, and how they are printed: bytes, the microseconds of mode
// alloc, or objects that were seen. Nothing turns one into the other.
#pragma once

#include <cstdint>
#include <string>

namespace memspy::recording {

enum class Measure { kBytes, kMicroseconds, kObjects };

// Which of the amounts that a run has measured for each stack is shown.
enum class Amount {
  kNet,        // what is left of what it touched; of mode live what it holds; time of mode alloc
  kGross,      // all that it touched
  kTemporary,  // mode live: objects that were seen to come and go
};

// The one of these that fits.
inline const char* word_of(Measure measure, const char* bytes, const char* time,
                           const char* objects) {
  if (measure == Measure::kObjects) return objects;
  return measure == Measure::kBytes ? bytes : time;
}

// For people: "1.4 GiB", "12.3 ms", "312".
std::string format_amount(Measure measure, std::uint64_t amount);
// "+1.4 GiB", "-12.3 ms", "0 B".
std::string format_signed_amount(Measure measure, std::int64_t amount);
// For machines, also as the last part of a key: "bytes", "microseconds", "objects".
const char* unit_name(Measure measure);

}  // namespace memspy::recording
