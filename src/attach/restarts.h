// How a thread may be stopped without its program noticing. An interrupt ends the system
// call in which a thread is blocked; the kernel restarts some calls by itself, and lets others
// return EINTR although no signal came (signal(7), "Interruption … by stop signals").
#pragma once

#include <string>

#include "memspy/address.h"
#include "procfs/blocked_call.h"
#include "procfs/proc_dir.h"

namespace memspy::attach {

// What a descriptor is, as far as it decides about reads from it.
enum class FileKind { kUnknown, kPipe, kEvents };  // kEvents: eventfd, timerfd, signalfd, inotify

// By the call alone; `file` is that of a read, and is not looked at for other calls. Every call not
// known to restart is one that does not.
bool restarts_cleanly(const procfs::BlockedCall& call, FileKind file);

FileKind file_kind(const std::string& descriptor_path);  // /proc/PID/fd/N

enum class Stoppable {
  kNot,        // blocked in a call that an interrupt would end, or /proc does not tell
  kBlocked,    // in a call that restarts: PTRACE_INTERRUPT
  kComputing,  // on a processor or waiting for one: ClockStop
};
// A thread as it is now.
Stoppable stoppable(const procfs::ProcDir& proc, Pid pid, Tid tid);

}  // namespace memspy::attach
