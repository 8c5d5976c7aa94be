// Logging goes to stderr through spdlog; stdout belongs to results. Libraries log at debug level
// only; warnings and errors reach a person through Result and the command line.
#pragma once

#include <spdlog/spdlog.h>

namespace memspy {

// Verbosity as the flags -v (repeatable) and -q give it: -1 quiet, 0 normal, 1 debug, 2 trace.
void init_logging(int verbosity, bool colour);

}  // namespace memspy
