// The Python processes of the host as a table, and the choice of one of them.
#pragma once

#include <string>
#include <vector>

#include "cli/env.h"
#include "cli/options.h"

namespace memspy::cli {

// A header line and one line per row, cut at `width` columns (0: not cut).
std::vector<std::string> process_table(const std::vector<ProcessRow>& rows, std::size_t width);

// The PID that was given; else the only Python process, which is said; else one chosen at the
// terminal; else kUsage with the candidates listed.
Result<Pid> resolve_target(const TargetOptions& options, Env& env);

}  // namespace memspy::cli
