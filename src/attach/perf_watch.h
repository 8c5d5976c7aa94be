// A hardware watchpoint of one thread, as a perf event: when the thread writes to an address, it is
// sent a signal before its next instruction, and its tracer finds it stopped there. Nothing of this
// outlives its descriptor, where a debug register set through ptrace would outlive the tracer and
// kill the target.
#pragma once

#include <cstdint>

#include "base/unique_fd.h"
#include "memspy/address.h"
#include "memspy/result.h"

namespace memspy::attach {

class PerfWatch {
 public:
  // Disarmed. kPermission (perf_event_paranoid, seccomp), kNoSuchProcess; kUnsupported, with
  // ENOSPC: all four of the thread are taken (a debugger), or this machine has none.
  static Result<PerfWatch> open(Tid tid, int signal);

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
};

}  // namespace memspy::attach
