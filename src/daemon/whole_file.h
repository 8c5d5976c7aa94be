// A small file that is either as it was or as it should be, whatever happens in between.
#pragma once

#include <string>

#include "memspy/result.h"

namespace memspy::daemon {

// Writes beside it, and renames. Readable by its owner only. kOutput.
Result<Unit> write_whole_file(const std::string& path, const std::string& text);

}  // namespace memspy::daemon
