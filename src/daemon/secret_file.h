// A secret in a file of one line: a token, a password.
#pragma once

#include <string>

#include "memspy/result.h"

namespace memspy::daemon {

// Its first line. kUsage: others may read the file, or there is no line of printable characters in
// it; kUnreadable: it cannot be read.
Result<std::string> read_secret(const std::string& path);

}  // namespace memspy::daemon
