// --watch: a process is looked at again and again.
#pragma once

#include <chrono>
#include <functional>

#include "cli/env.h"
#include "memspy/process.h"
#include "memspy/result.h"

namespace memspy::cli {

// Calls `look` whenever so much time has passed, until it says false, fails, or a signal asks for
// the end. A process that has ended is told, and is no error.
Result<Unit> look_again(Pid pid, std::chrono::nanoseconds time, Env& env,
                        const std::function<Result<bool>()>& look);

}  // namespace memspy::cli
