// Wakes a thread that sleeps in poll or epoll, from any thread or signal handler.
#pragma once

#include "base/unique_fd.h"

namespace memspy {

class WakeFd {
 public:
  WakeFd();
  int fd() const { return fd_.get(); }
  void wake() const;   // async-signal-safe
  void clear() const;  // forgets the wake-ups so far

 private:
  UniqueFd fd_;
};

}  // namespace memspy
