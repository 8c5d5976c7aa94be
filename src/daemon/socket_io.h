// Sockets with a deadline: a peer that is slow, or never reads, costs no more than that.
#pragma once

#include <string_view>

#include "base/clock.h"

namespace memspy::daemon {

// Waits for `events` (as poll(2) has them) on `fd`; false at the deadline.
bool wait_for(int fd, short events, SteadyTime deadline);

// What became of send_all(); kBroken leaves its reason in errno.
enum class Sent { kAll, kBroken, kLate };
Sent send_all(int fd, std::string_view bytes, SteadyTime deadline);

}  // namespace memspy::daemon
