// The tracer of one target, a process of its own: docs/design/0006-daemon.md says why. Samples into
// segments until its input ends or the target does.
#pragma once

#include "memspy/result.h"

namespace memspy::daemon {

// Reads the order from `in_fd`, tells its news to `out_fd` (tracer_protocol.h), and blocks until
// the end. An error was told as news too.
Result<Unit> run_tracer(int in_fd, int out_fd);

}  // namespace memspy::daemon
