// One daemon at a time keeps its things in a folder: another would take them for what a dead one
// has left.
#pragma once

#include <string>

#include "base/unique_fd.h"
#include "memspy/result.h"

namespace memspy::daemon {

// Held until it is closed, or the process ends. kUsage, with the other's PID: there is another.
Result<UniqueFd> lock_state(const std::string& state_dir);

}  // namespace memspy::daemon
