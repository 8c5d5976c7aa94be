// Data of any length as one gzip member. Private to sinks.
#pragma once

#include <ostream>
#include <string>

#include "memspy/result.h"

namespace memspy::sinks {

enum class GzipLevel : int { kFast = 1, kSmall = 6 };

// kOutput when the stream fails.
Result<Unit> write_gzip(const std::string& data, GzipLevel level, std::ostream& out);

}  // namespace memspy::sinks
