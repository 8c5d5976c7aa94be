// What a daemon answers, for people.
#pragma once

#include <string>

#include "cli/json_text.h"

namespace memspy::cli {

// Of memspy.daemon/1. What is missing is shown as "-": the daemon may be of another version.
std::string daemon_status_text(const Json& status);
// Of memspy.targets/1: a line each, cut at `width` columns (0: not cut).
std::string daemon_targets_text(const Json& targets, std::size_t width);

}  // namespace memspy::cli
