// A clock of one thread's CPU time, as a perf event: when the thread has computed for a period, it
// is sent a signal and its tracer finds it stopped between two instructions of its program.
//
// Only ticks that fall in user mode are sent: a signal that becomes pending inside a system call
// cuts some of them short. What the thread spends in the kernel is counted all the same.
#pragma once

#include <chrono>
#include <cstdint>

#include "base/unique_fd.h"
#include "memspy/address.h"
#include "memspy/result.h"

namespace memspy::attach {

inline constexpr std::chrono::microseconds kShortestTick{10};  // the kernel takes nothing shorter

class PerfClock {
 public:
  // Opened disabled. Errors: kPermission (perf_event_paranoid, seccomp), kNoSuchProcess.
  static Result<PerfClock> open(Tid tid, std::chrono::nanoseconds period, int signal);

  int fd() const { return fd_.get(); }
  void enable();
  void disable();
  // From now on. Exact when the thread is stopped, or off its processor: the period begins when it
  // runs again.
  void set_period(std::chrono::nanoseconds period);
  // Time on a processor since the previous call, in user mode and in the kernel.
  std::chrono::nanoseconds take_time();

 private:
  explicit PerfClock(UniqueFd fd) : fd_(std::move(fd)) {}
  UniqueFd fd_;
  std::uint64_t seen_ = 0;  // ns
};

}  // namespace memspy::attach
