#include "base/clock.h"

namespace memspy {

std::chrono::nanoseconds wall_clock_now() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
      std::chrono::system_clock::now().time_since_epoch());
}

}  // namespace memspy
