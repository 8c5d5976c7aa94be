// A hardware watchpoint of one thread, as a perf event: when the thread writes to an address, then
// before its next instruction it is sent a signal, and its tracer finds it stopped there; or a
// program in the kernel runs (BpfFaults::tell_writes). Nothing of this outlives its descriptor,
// where a debug register set through ptrace would outlive the tracer and kill the target.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>

#include "base/unique_fd.h"
#include "memspy/address.h"
#include "memspy/result.h"

namespace memspy::attach {

class PerfWatch {
 public:
  // Disarmed. kPermission (perf_event_paranoid, seccomp), kNoSuchProcess; kUnsupported, with
  // ENOSPC: all four of the thread are taken (a debugger), or this machine has none.
  static Result<PerfWatch> open(Tid tid, std::optional<int> signal);
  // The same of this thread and of all that it starts from now on, from their first instruction:
  // they are armed, moved and counted with it. No signal.
  static Result<PerfWatch> open_for_heirs(Tid tid);

  int fd() const { return fd_.get(); }
  // Writes to the 8 bytes at `address`, a multiple of 8, from now on. False: the kernel refuses.
  bool arm(RemoteAddr address);
  void disarm();
  // Writes since the previous call.
  std::uint64_t take_count();

 private:
  explicit PerfWatch(UniqueFd fd) : fd_(std::move(fd)) {}
  UniqueFd fd_;
  std::uint64_t seen_ = 0;
  bool heirs_ = false;
};

// What a write that a watch sees costs its thread at least, in CPU time, before anybody is told:
// the exception, which a virtual machine makes ten times as dear. Measured on this thread, in a
// millisecond at most; where it has no watchpoints, what a virtual machine had.
std::chrono::nanoseconds price_of_watched_write();

}  // namespace memspy::attach
