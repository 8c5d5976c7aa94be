// Small files read whole: /proc entries and fixtures. Not for anything large.
#pragma once

#include <cstddef>
#include <string>

#include "memspy/result.h"

namespace memspy {

// Reads at most `cap` bytes. kNoSuchProcess stays with the caller: here a missing file is
// kUnreadable with sys == ENOENT (or ESRCH, as /proc says for a process that has just gone).
Result<std::string> read_file(const std::string& path, std::size_t cap = 64U << 20);

}  // namespace memspy
