// Pushes profiles to an endpoint from a thread of its own: PushQueue, with its pauses. Any thread
// asks and configures.
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <string>
#include <thread>

#include "daemon/push_queue.h"

namespace memspy::daemon {

class Pusher {
 public:
  using Log = std::function<void(const std::string&)>;
  // `board` outlives this. `keep`: of the flight recorder. Without a URL nothing is pushed.
  Pusher(std::string state_dir, const StatusBoard& board, Log log, PushConfig config,
         std::chrono::nanoseconds keep);
  ~Pusher();
  Pusher(const Pusher&) = delete;
  Pusher& operator=(const Pusher&) = delete;

  void set_config(PushConfig config, std::chrono::nanoseconds keep);
  PushFigures figures() const { return queue_.figures(); }

 private:
  PushPorts ports(Log log);
  void run();
  std::chrono::nanoseconds pause_after(PushQueue::Round round) const;
  bool ending() const;

  mutable std::mutex mutex_;
  std::condition_variable news_;
  PushConfig config_;
  std::chrono::nanoseconds keep_{};
  bool ending_ = false;
  bool configured_ = false;  // since the last look
  PushQueue queue_;          // the thread's own
  unsigned failures_ = 0;    // one after the other; the thread's own
  std::thread thread_;
};

}  // namespace memspy::daemon
