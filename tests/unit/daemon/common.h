// What several tests of the daemon need.
#pragma once

#include <signal.h>

#include "memspy/process.h"

namespace memspy::daemon {

inline constexpr double kMiB = 1 << 20;
inline const ProcessIdentity kTarget{Pid{42}, 7};
// As Daemon::start() has it.
inline const auto kNoSigpipe = ::signal(SIGPIPE, SIG_IGN);

}  // namespace memspy::daemon
