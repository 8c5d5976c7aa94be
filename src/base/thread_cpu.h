// What this thread has cost so far. On a busy machine a span of the clock holds others' work too.
#pragma once

#include <chrono>
#include <ctime>

namespace memspy {

inline std::chrono::nanoseconds thread_cpu() {
  timespec time{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return std::chrono::seconds(time.tv_sec) + std::chrono::nanoseconds(time.tv_nsec);
}

}  // namespace memspy
