// Stops a thread at a moment in which it computes, and never inside a system call.
//
// PTRACE_INTERRUPT to a thread that runs may arrive when it has just entered a system call; some of
// those then return EINTR although no signal came. A timer of the thread's own CPU time fires only
// while it is on a processor, is told to count user mode alone, and sends its signal from the
// timer's interrupt: the thread goes from there to the signal, and its tracer sees it stopped
// between two instructions of its program. A thread that blocks instead has no CPU time, and is
// left alone.
//
// The signal is one that does nothing if memspy is killed meanwhile (attach/signal_choice.h).
#pragma once

#include <chrono>
#include <utility>

#include "base/unique_fd.h"
#include "memspy/address.h"
#include "memspy/result.h"

namespace memspy::attach {

class ClockStop {
 public:
  // Fires once, some ten microseconds of user mode from now. Errors: as open_perf_event.
  static Result<ClockStop> arm(Tid tid, int signal);

  int signal() const { return signal_; }
  int fd() const { return fd_.get(); }
  // A signal that is on its way already still comes.
  void disarm();
  // How long the thread has been on a processor since arm(), in user mode or not.
  std::chrono::nanoseconds time_run() const;
  void rearm();  // after disarm()

 private:
  ClockStop(UniqueFd fd, int signal) : fd_(std::move(fd)), signal_(signal) {}
  UniqueFd fd_;
  int signal_;
};

}  // namespace memspy::attach
