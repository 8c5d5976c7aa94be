// Growth of targets as profiles for an endpoint, a window after the other.
//
// The flight recorder is the queue: what an endpoint does not take is made of the recording again
// and tried again, for as long as that has it. What has been done, and which targets there were, is
// kept in STATE_DIR/pushed.json, so that a restarted daemon goes on where the one before it was. So
// each window arrives at least once; twice, when the daemon ended in between.
//
// One thread; figures() for any.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>

#include "daemon/config.h"
#include "daemon/http_post.h"
#include "daemon/json.h"
#include "daemon/recorded_window.h"
#include "daemon/status.h"

namespace memspy::daemon {

struct PushPorts {
  std::function<std::chrono::nanoseconds()> wall_now;                // since the epoch
  std::function<Result<int>(const HttpUrl&, const HttpPost&)> post;  // the status of the answer
  std::function<void(const std::string&)> log;
  std::function<bool()> ending;  // asked between two profiles: nobody waits any more

  // Of this machine, but for the last two.
  static PushPorts real();
};

class PushQueue {
 public:
  enum class Round { kNothing, kDone, kFailed };

  // `board` outlives this.
  PushQueue(std::string state_dir, const StatusBoard& board, PushPorts ports);

  // Notes who is there: targets may come and go between two windows. `keep`: of the flight
  // recorder.
  void note_targets(std::chrono::nanoseconds keep);
  // The same, and pushes the next window, if it is over.
  Round push_window(const PushConfig& config, std::chrono::nanoseconds keep);
  // Nothing is pushed at the moment: the time in between is nobody's.
  void pass();
  PushFigures figures() const;

 private:
  struct Known {
    std::shared_ptr<const TargetFacts> facts;
    std::chrono::nanoseconds seen{};  // since the epoch
  };
  void load();
  void load_target(const Json& json);
  void store();
  void catch_up(std::chrono::nanoseconds now, const PushConfig& config,
                std::chrono::nanoseconds keep);
  // Nothing of it to send is success. The error is worth another try.
  Result<Unit> push_target(const PushConfig& config, const TargetFacts& target, WallWindow window);
  void note_answer(int status, bool taken);
  void note_failure(const Error& error, std::chrono::nanoseconds behind);
  void note_success(std::chrono::nanoseconds behind);

  std::string state_dir_;
  const StatusBoard& board_;
  PushPorts ports_;
  mutable std::mutex mutex_;
  PushFigures figures_;               // under the mutex
  std::chrono::nanoseconds until_{};  // what came before it is pushed; 0: nothing is known
  std::set<ProcessIdentity> done_;    // of the window that ends at done_to_
  std::chrono::nanoseconds done_to_{};
  std::map<ProcessIdentity, Known> known_;
  std::chrono::nanoseconds stored_{};  // when; since the epoch
  bool said_full_ = false;
};

}  // namespace memspy::daemon
