// Whether a target has a tracer: started when it is wanted and there is room, ended when it is not,
// started again after a failure, ever later. Keeps the sums of all that were.
//
// One thread.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "daemon/status.h"
#include "daemon/tracer_process.h"
#include "procfs/proc_dir.h"

namespace memspy::daemon {

class TracerSlot {
 public:
  void want(bool wanted, SteadyTime now);
  // It is wanted, there is none, and it is not too soon after a failure.
  bool ready(SteadyTime now) const { return wanted_ && !tracer_ && now >= next_try_; }
  // It was ready, and was not started.
  void set_waiting(std::string why) { waits_for_ = std::move(why); }
  void start(const std::vector<std::string>& program, const TracerOrder& order, SteadyTime now);
  // Hears its news, keeps its deadlines, notices its end. Call at each tick.
  struct Change {
    bool crashed = false;
    std::string message;  // for a log; "" nothing to say
  };
  Change tick(const procfs::ProcDir& proc, SteadyTime now);

  bool running() const { return tracer_.has_value(); }
  std::optional<Pid> pid() const { return tracer_ ? std::optional(tracer_->pid()) : std::nullopt; }
  double cpu_seconds() const { return cpu_before_ + cpu_now_; }  // all tracers of this target
  // PSS: what is shared with other tracers counts once.
  std::uint64_t memory_bytes() const { return tracer_ ? memory_bytes_ : 0; }
  // Kills it: the daemon ends, and has waited long enough.
  void drop() { tracer_.reset(); }
  void describe(TargetStatus& status) const;

 private:
  enum class State { kIdle, kStarting, kTracing, kEnding, kFailed };
  void hear(const TracerNews& news);
  void note_end(int status, SteadyTime now, Change& change);
  void fail(std::string why, SteadyTime now);
  void read_cost(const procfs::ProcDir& proc, SteadyTime now);

  bool wanted_ = false;
  State state_ = State::kIdle;
  std::optional<TracerProcess> tracer_;
  bool ended_well_ = false;
  std::string engine_, reason_, waits_for_;
  SteadyTime next_try_{}, started_{};
  std::chrono::nanoseconds pause_{};
  TracerNews now_, before_;  // of this tracer; sums of those before it
  double cpu_before_ = 0, cpu_now_ = 0;
  std::uint64_t memory_bytes_ = 0;
  SteadyTime next_memory_{};
};

}  // namespace memspy::daemon
