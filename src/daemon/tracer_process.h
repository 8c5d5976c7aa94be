// A tracer as the daemon sees it: a child that has an order, tells news, and is asked to end; one
// that does not end in time is killed, which costs its target nothing.
//
// One thread.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "daemon/child_process.h"
#include "daemon/tracer_protocol.h"

namespace memspy::daemon {

class TracerProcess {
 public:
  // `program`: the command that runs run_tracer().
  static Result<TracerProcess> start(const std::vector<std::string>& program,
                                     const TracerOrder& order);

  Pid pid() const { return child_.pid(); }
  int output_fd() const { return child_.output_fd(); }
  // What it has told since the last call; `open` false: it will tell no more.
  struct Heard {
    std::vector<TracerNews> news;
    bool open = true;
  };
  Heard take_news();
  void ask_end(SteadyTime now);
  bool asked() const { return kill_at_.has_value(); }
  // Kills it when it was asked, and has not ended in time.
  void keep_deadline(SteadyTime now);
  std::optional<int> ended() { return child_.ended(); }

 private:
  explicit TracerProcess(ChildProcess child) : child_(std::move(child)) {}
  ChildProcess child_;
  std::string heard_;
  std::optional<SteadyTime> kill_at_;
};

}  // namespace memspy::daemon
