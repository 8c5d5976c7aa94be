// What the daemon is as a process: its signals, its limits, its cost.
#pragma once

#include "base/unique_fd.h"
#include "memspy/result.h"

namespace memspy::daemon {

// Files for its user only, as many descriptors as may be, no death by SIGPIPE; and a signalfd that
// has SIGTERM, SIGINT and SIGHUP from here on: call it before there are other threads.
Result<UniqueFd> settle_process();

// All threads, since the start.
double own_cpu_seconds();

}  // namespace memspy::daemon
