// Byte counts for people ("1.4 GiB") and from people ("2GiB", "500MiB", "64k").
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "memspy/result.h"

namespace memspy {

// IEC units, at most four significant characters before the unit: "0 B", "1023 B", "1.4 GiB".
std::string format_bytes(std::uint64_t bytes);
std::string format_signed_bytes(std::int64_t bytes);  // "-1.4 MiB", "+3.0 KiB", "0 B"

// A number and an optional unit; K, M, G, T mean 1024 with or without "iB" or "B".
Result<std::uint64_t> parse_bytes(std::string_view text);

}  // namespace memspy
