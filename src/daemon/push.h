// Growth of targets pushed to a Pyroscope-compatible endpoint, as pprof, a window after the other.
//
// The flight recorder is the queue: what an endpoint does not take is made of the recording again
// and tried again, ever later, for as long as that has it. A restarted daemon goes on where the one
// before it was, with the targets that are still there. So each window of these arrives at least
// once; twice, when the daemon ended in between.
//
// A thread of its own; any thread asks and configures.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <thread>

#include "base/clock.h"
#include "daemon/config.h"
#include "daemon/http_post.h"
#include "daemon/recorded_window.h"
#include "daemon/status.h"

namespace memspy::daemon {

// "/ingest?name=…&from=…&until=…&format=pprof", below the path of the configured URL.
std::string push_path(const HttpUrl& base, const PushConfig& config, const TargetFacts& target,
                      WallWindow window);
// The headers that say who pushes: whole lines. kUsage: a file of a secret cannot be read, or
// others may read it.
Result<std::string> push_headers(const PushConfig& config);

class Pusher {
 public:
  using Log = std::function<void(const std::string&)>;
  // `board` outlives this.
  Pusher(std::string state_dir, const StatusBoard& board, Log log);
  ~Pusher();
  Pusher(const Pusher&) = delete;
  Pusher& operator=(const Pusher&) = delete;

  // `keep`: of the flight recorder. Without a URL nothing is pushed.
  void set_config(PushConfig config, std::chrono::nanoseconds keep);
  PushFigures figures() const;

 private:
  struct Known {
    std::shared_ptr<const TargetFacts> facts;
    std::chrono::nanoseconds seen{};  // since the epoch
  };
  enum class Round { kNothing, kDone, kFailed };
  void run();
  Round push_window(const PushConfig& config, std::chrono::nanoseconds keep);
  void note_targets(std::chrono::nanoseconds now, std::chrono::nanoseconds keep);
  void catch_up(std::chrono::nanoseconds now, const PushConfig& config,
                std::chrono::nanoseconds keep);
  // Nothing of it to send is success. The error is worth another try.
  Result<Unit> push_target(const PushConfig& config, const TargetFacts& target, WallWindow window);
  void store();
  bool ending() const;

  std::string state_dir_;
  const StatusBoard& board_;
  Log log_;
  mutable std::mutex mutex_;
  std::condition_variable news_;
  PushConfig config_;
  std::chrono::nanoseconds keep_{};
  PushFigures figures_;
  bool ending_ = false;
  // The thread's own.
  std::chrono::nanoseconds until_{};  // what came before it is pushed; 0: nothing is known
  std::set<ProcessIdentity> done_;    // of the window that ends at done_to_
  std::chrono::nanoseconds done_to_{};
  std::map<ProcessIdentity, Known> known_;
  unsigned failures_ = 0;  // one after the other
  std::thread thread_;
};

}  // namespace memspy::daemon
