// Which signal may announce a page fault to a thread without anyone noticing: one that is ignored
// by default, that the target neither catches nor blocks. When memspy dies, a signal on its way is
// dropped by the kernel. Never SIGTRAP, SIGIO or a real-time signal: they end a process.
#pragma once

#include <optional>

#include "procfs/status.h"

namespace memspy::attach {

// From the thread's own status. nullopt: every candidate is caught or blocked.
std::optional<int> choose_signal(const procfs::Status& thread);
// Does the kernel deliver a descriptor's signal (F_SETOWN) from memspy to this thread? From root to
// every one, else only to those of its own user: capabilities do not count (sigio_perm, fs/fcntl.c).
bool perf_signals_reach(const procfs::Status& thread);
// Still free on that thread?
bool signal_free(const procfs::Status& thread, int signal);

}  // namespace memspy::attach
