// A program run to its end, or to a deadline.
#pragma once

#include <atomic>
#include <chrono>
#include <string>

#include "daemon/child_process.h"
#include "memspy/result.h"

namespace memspy::daemon {

// Writes `input` to its standard input and waits. How it ended, as waitpid(2) has it. kTimeout: it
// was killed at the deadline, or because `ending` became true. `printed`: what it said on standard
// output, where that goes to no file.
Result<int> run_child(const ChildOptions& options, const std::string& input,
                      std::chrono::nanoseconds patience, const std::atomic<bool>& ending,
                      std::string* printed = nullptr);

}  // namespace memspy::daemon
