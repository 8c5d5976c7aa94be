// The daemon's targets as the process list of `top` shows processes.
#pragma once

#include <string>
#include <vector>

#include "cli/process_row.h"
#include "memspy/result.h"

namespace memspy::cli {

// `socket`: where the daemon answers; "": where one usually does.
Result<std::vector<ProcessRow>> list_daemon_targets(const std::string& socket);

}  // namespace memspy::cli
