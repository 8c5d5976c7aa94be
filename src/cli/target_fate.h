// What a person should know of a process beside the samples: that it stands still, how it ended,
// and whether the OOM killer was at work meanwhile.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "memspy/process.h"
#include "procfs/proc_dir.h"

namespace memspy::cli {

class TargetFate {
 public:
  // Takes down, before anything is attached, what cannot be asked of a process that is gone.
  TargetFate(const procfs::ProcDir& proc, Pid pid);

  // "it is stopped by a signal (T) and left so; nothing will grow until: kill -CONT 4242", or "".
  std::string at_start() const;
  // `ended_by` of the summary as a sentence without its subject, or "" when the target lives:
  // "killed by SIGKILL; the OOM killer struck its control group /app 1 time meanwhile".
  std::string at_end(const std::string& ended_by) const;

 private:
  const procfs::ProcDir* proc_;
  Pid pid_;
  bool job_stopped_ = false;
  std::string cgroups_;  // the text of /proc/PID/cgroup
  std::optional<std::uint64_t> oom_kills_;
};

}  // namespace memspy::cli
