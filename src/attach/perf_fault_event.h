// A page-fault counter of one thread: perf's software event, with or without a signal.
//
// kSignalled counts faults taken in user mode and sends the thread a signal at every Nth, before
// the thread goes back to user mode: its tracer sees it stopped at the very instruction that
// touches the page. kSilent counts faults that the kernel takes inside a system call (copies into
// fresh buffers) and makes the descriptor readable: a signal there would shorten the target's
// reads. Recipe and measurements: docs/design/0001-page-fault-engine.md.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "attach/fault_record.h"
#include "base/unique_fd.h"
#include "memspy/address.h"
#include "memspy/process.h"
#include "memspy/result.h"

namespace memspy::attach {

enum class FaultKind {
  kSignalled,
  kSilent,
  kSilentAll,  // as kSilent, but faults of user mode too: for a thread that blocks every signal we
               // could use
  // These record where faults were taken, and are readable after every kTrailWake of them, or when
  // the ring is half full:
  kUserTrail,  // in user mode
  kCallTrail,  // inside system calls
  kTrailAll,   // both
};

inline constexpr std::size_t kTrailWake = 64;

class PerfFaultEvent {
 public:
  // Opened disabled. `signal` is for kSignalled, `stack_bytes` (a multiple of 8) for the others: so
  // much of the stack has each record. `ring_bytes`: of records, a power of two; where
  // the host locks no more memory (perf_event_mlock_kb) there are no records. Errors: kPermission
  // (perf_event_paranoid, seccomp), kNoSuchProcess.
  static Result<PerfFaultEvent> open(Tid tid, FaultKind kind, std::uint64_t period, int signal,
                                     std::size_t ring_bytes,
                                     std::size_t stack_bytes = kLeastStackBytes);
  PerfFaultEvent(PerfFaultEvent&& other) noexcept;
  PerfFaultEvent& operator=(PerfFaultEvent&& other) noexcept;
  ~PerfFaultEvent();

  int fd() const { return fd_.get(); }
  void enable();
  void disable();
  // Faults since the previous call, exact even where signals were merged.
  std::uint64_t take_count();
  // From now on: every `period`th fault. Cheap; exact when the thread is stopped.
  void set_period(std::uint64_t period);
  // Calls `visit` with what the kernel has recorded since the previous call, oldest first: every
  // `period`th fault, as many as the ring holds. The record is a view: copy what is to stay.
  void take_records(const std::function<void(const FaultRecord&)>& visit);
  bool has_records() const;
  // False: the ring could not be mapped, and there are no records.
  bool has_ring() const { return ring_ != nullptr; }

 private:
  PerfFaultEvent(UniqueFd fd, void* ring, std::size_t data_bytes)
      : fd_(std::move(fd)), ring_(ring), data_bytes_(data_bytes) {}
  void unmap();
  UniqueFd fd_;
  void* ring_ = nullptr;        // a control page, then the records
  std::size_t data_bytes_ = 0;  // of records; a power of two
  std::uint64_t seen_ = 0;
};

}  // namespace memspy::attach
