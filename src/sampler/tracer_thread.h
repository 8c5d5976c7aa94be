// What a thread that traces needs beside its Seizure: to be woken when a tracee stops, to be run
// before who stands still for it, and to leave no signal behind. SIGCHLD must be blocked in every
// thread of memspy (session.cpp).
#pragma once

#include "attach/seizure.h"
#include "base/unique_fd.h"

namespace memspy::sampler {

// Readable when a tracee has stopped or ended; -1: no more descriptors.
UniqueFd open_child_signals();
// Only emptied: Seizure::dispatch() asks the kernel what happened.
void empty_child_signals(int fd);
// Of the calling thread. A thread that stands still should wait for the tracer only, and not for
// the tracer's turn. Takes privileges; without them the stops are as long as the host is busy.
void ask_for_priority();
// Handles what is on its way after the last event was closed, for 5 ms.
void take_last_signals(attach::Seizure& seizure);

}  // namespace memspy::sampler
