// Waits for many descriptors at once and calls back who asked. Callbacks may add and remove
// descriptors, their own too.
//
// One thread.
#pragma once

#include <cstdint>
#include <functional>
#include <unordered_map>

#include "base/clock.h"
#include "base/unique_fd.h"
#include "memspy/result.h"

namespace memspy::daemon {

class EventLoop {
 public:
  using Callback = std::function<void()>;

  static Result<EventLoop> create();

  // Called while `fd` can be read, or has ended. `fd` stays the caller's, who removes it before it
  // is closed.
  Result<Unit> add(int fd, Callback callback);
  void remove(int fd);
  // Waits for one of them until `deadline`, and calls back for each.
  void run_once(SteadyTime deadline);

 private:
  explicit EventLoop(UniqueFd fd) : epoll_(std::move(fd)) {}
  UniqueFd epoll_;
  std::unordered_map<int, std::pair<std::uint64_t, Callback>> callbacks_;
  std::uint64_t generation_ = 0;
};

}  // namespace memspy::daemon
