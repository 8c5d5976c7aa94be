// A page-fault counter of one thread: perf's software event, with or without a signal.
//
// kSignalled counts faults taken in user mode and sends the thread a signal at every Nth, before the
// thread goes back to user mode: its tracer sees it stopped at the very instruction that touches the
// page. kSilent counts faults that the kernel takes inside a system call (copies into fresh buffers)
// and makes the descriptor readable: a signal there would shorten the target's reads.
// Recipe and measurements: docs/design/0001-page-fault-engine.md.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "base/unique_fd.h"
#include "memspy/address.h"
#include "memspy/result.h"

namespace memspy::attach {

enum class FaultKind {
  kSignalled,
  kSilent,
  kSilentAll,  // as kSilent, but faults of user mode too: for a thread that blocks every signal we could use
};

// One fault as the kernel recorded it. The registers are those of user mode: for a fault inside a
// system call they name the call. Zero for kSignalled, whose thread is stopped and can be asked.
struct FaultRecord {
  RemoteAddr address;
  std::uint64_t argument = 0;  // rdi, the call's first argument
  std::uint64_t stack = 0;     // rsp
  std::uint64_t code = 0;      // rip
  bool same_call(const FaultRecord& other) const {
    return argument == other.argument && stack == other.stack && code == other.code;
  }
};

class PerfFaultEvent {
 public:
  // Opened disabled. `signal` is for kSignalled. The thread must be a tracee or readable. Errors:
  // kPermission (perf_event_paranoid, seccomp), kNoSuchProcess.
  static Result<PerfFaultEvent> open(Tid tid, FaultKind kind, std::uint64_t period, int signal);
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
  // Faults since the last take_count(), left for it to take.
  std::uint64_t peek_count() const;
  // What the kernel has recorded since the previous call, oldest first: every `period`th fault, as
  // many as the ring holds; empty when the ring could not be mapped (see has_ring).
  std::span<const FaultRecord> take_records();
  bool has_ring() const { return ring_ != nullptr; }

 private:
  PerfFaultEvent(UniqueFd fd, void* ring) : fd_(std::move(fd)), ring_(ring) {}
  FaultRecord decode(std::uint64_t at, std::size_t size) const;
  UniqueFd fd_;
  void* ring_ = nullptr;
  std::uint64_t seen_ = 0;
  std::vector<FaultRecord> records_;
};

}  // namespace memspy::attach
