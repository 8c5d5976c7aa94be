// A process with one thread in each kind of blocking system call, which counts calls that return
// although nobody woke them.
#pragma once

#include <vector>

#include "unit/attach/child.h"

namespace memspy::attach {

struct BlockedThread {
  const char* name;
  long call;  // its number
  bool held;  // what an image does: hold it, or leave it alone
};
const std::vector<BlockedThread>& blocked_threads();

// In the child: starts them all, and `spinners` threads that count in counters().at. Says ready
// when all have started.
void start_blocked_threads(CountingChild& child, int spinners);
// In the test: waits until each is blocked in its call.
bool await_blocked_threads(Pid pid);

}  // namespace memspy::attach
