// Who a process is. A pid alone can be reused; pid + start time cannot.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "memspy/address.h"

namespace memspy {

struct ProcessIdentity {
  Pid pid;
  std::uint64_t start_ticks = 0;  // field 22 of /proc/PID/stat: clock ticks since boot
  auto operator<=>(const ProcessIdentity&) const = default;
};

// Index of a process or thread within one run or recording, dense from 1. A pid or tid that the
// kernel reuses gets a new index.
struct ProcessIndex {
  std::uint32_t value = 0;
  auto operator<=>(const ProcessIndex&) const = default;
};
struct ThreadIndex {
  std::uint32_t value = 0;  // 0: no thread in particular
  auto operator<=>(const ThreadIndex&) const = default;
};

}  // namespace memspy
