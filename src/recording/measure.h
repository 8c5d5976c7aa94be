// What the numbers of a profile count, and how they are printed: bytes, or the microseconds of mode
// alloc. Nothing turns one into the other.
#pragma once

#include <cstdint>
#include <string>

namespace memspy::recording {

enum class Measure { kBytes, kMicroseconds };

// For people: "1.4 GiB", "12.3 ms".
std::string format_amount(Measure measure, std::uint64_t amount);
// "+1.4 GiB", "-12.3 ms", "0 B".
std::string format_signed_amount(Measure measure, std::int64_t amount);
// For machines, also as the last part of a key: "bytes", "microseconds".
const char* unit_name(Measure measure);

}  // namespace memspy::recording
