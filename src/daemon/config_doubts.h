// What a configuration allows, and hardly means; and what it names that the daemon would refuse at
// its start.
#pragma once

#include <string>
#include <vector>

#include "daemon/config.h"

namespace memspy::daemon {

// Sentences for a person.
std::vector<std::string> doubts_of(const Config& config);
// The files that it names: kUsage or kUnreadable where the daemon would not start.
Result<Unit> check_files(const Config& config);

}  // namespace memspy::daemon
