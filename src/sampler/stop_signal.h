// The signal by which perf events of a thread stop it for its tracer: which one, whether it still
// will do, and those that were given up and may still be on their way.
//
// Tracer thread only.
#pragma once

#include <optional>
#include <utility>
#include <vector>

#include "attach/seizure.h"
#include "memspy/address.h"
#include "memspy/result.h"
#include "procfs/proc_dir.h"

namespace memspy::sampler {

// Can threads of this process be stopped by a signal that nobody notices? kUnsupported,
// kPermission.
Result<Unit> probe_stop_signal(const procfs::ProcDir& proc, Pid pid);

// nullopt: the thread catches or blocks every one. `newborn`: what it blocks will pass.
std::optional<int> choose_stop_signal(const procfs::ProcDir& proc, Pid pid, Tid tid, bool newborn);

class StopSignal {
 public:
  // 0: none.
  void use(int signal) { signal_ = signal; }
  // `armed`: an event sends it. True: another choice is due.
  bool outdated(const procfs::Status& thread, bool armed);
  // The event with this descriptor is given up.
  void retire(int fd);
  // Was this stop brought about by the event with this descriptor (-1: there is none), or by one
  // that was given up?
  bool is_of(const attach::SignalStop& stop, int fd) const;

 private:
  int signal_ = 0;
  bool misfit_ = false;                       // at the last check
  std::vector<std::pair<int, int>> retired_;  // signals and descriptors
};

}  // namespace memspy::sampler
