// Beside engine bpf in mode live, in a virtual machine: traces the target only to keep from it what
// would end it. KVM can lose the reason of a watchpoint's debug exception (a stale DR6 between the
// exception and the guest's look at it; mended in Linux 6.14, "Load DR6 with guest value only
// before entering .vcpu_run() loop"; a guest does not see what its host runs). Linux takes an
// exception without a reason for an int1 of the program, and sends it SIGTRAP.
//
// The target stops at signals of its own and where threads begin and end, for as long as it takes
// to let it go on. Tracer thread.
#pragma once

#include <signal.h>

#include "attach/seizure.h"
#include "base/unique_fd.h"
#include "sampler/tracer_thread.h"

namespace memspy::sampler {

// Of a thread in mode live: sent for a debug exception for which the kernel knows no watchpoint.
// Where memspy traces there is nobody else's debug register; an int3 of the program has another
// code, an int1 has not, and is skipped.
inline bool is_lost_exception(const attach::SignalStop& stop) {
  return stop.signal == SIGTRAP && (stop.code == TRAP_BRKPT || stop.code == TRAP_HWBKPT);
}

class TrapGuard final : private attach::TraceeObserver {
 public:
  explicit TrapGuard(const procfs::ProcDir& proc)
      : seizure_(proc, *this, /*follow_children=*/false), child_signals_(open_child_signals()) {}

  // kPermission (also when somebody else traces it), kNoSuchProcess.
  Result<Unit> seize(Pid pid) { return seizure_.seize(pid); }
  int fd() const { return child_signals_.get(); }  // readable: there is something to dispatch
  void dispatch() {
    empty_child_signals(child_signals_.get());
    seizure_.dispatch();
  }
  // After the last watchpoint was closed.
  void release() { take_last_signals(seizure_); }
  attach::Seizure& seizure() { return seizure_; }

 private:
  void on_thread_started(Pid, Tid, attach::ThreadOrigin) override {}
  void on_thread_ended(Pid, Tid) override {}
  void on_forked(Pid, Pid, bool) override {}
  void on_exec(Pid) override {}
  void on_exiting(Pid) override {}
  void on_process_ended(Pid, attach::WaitStatus) override {}
  bool on_signal(Pid, Tid, const attach::SignalStop& stop) override {
    return is_lost_exception(stop);
  }
  void on_resumed(Pid, Tid) override {}

  attach::Seizure seizure_;
  UniqueFd child_signals_;
};

}  // namespace memspy::sampler
