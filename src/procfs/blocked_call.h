// /proc/PID/task/TID/syscall: the system call in which a thread is blocked. Needs ptrace access.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "memspy/result.h"

namespace memspy::procfs {

struct BlockedCall {
  bool running = false;  // on a processor or waiting for one: nothing else is known
  long number = -1;      // -1: blocked outside of any system call (a page fault)
  std::array<std::uint64_t, 6> arguments{};
};

// kCorrupt when it is none of the three forms that the kernel prints.
Result<BlockedCall> parse_blocked_call(std::string_view text);

}  // namespace memspy::procfs
