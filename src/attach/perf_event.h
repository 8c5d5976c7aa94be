// What all perf events of memspy have in common: how one is opened on a thread, and how its overflow
// becomes a signal that the thread's tracer sees.
#pragma once

#include <linux/perf_event.h>

#include "base/unique_fd.h"
#include "memspy/address.h"
#include "memspy/result.h"

namespace memspy::attach {

// kPermission (perf_event_paranoid, seccomp), kNoSuchProcess, kUnsupported. `what` is for the text.
Result<UniqueFd> open_perf_event(perf_event_attr attr, Tid tid, const char* what);

// From now on each overflow sends `signal` to the thread, and to no other of its process.
Result<Unit> route_signal(int fd, Tid tid, int signal);

}  // namespace memspy::attach
