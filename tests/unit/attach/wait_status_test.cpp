#include "attach/wait_status.h"

#include <signal.h>
#include <sys/ptrace.h>

#include <gtest/gtest.h>

namespace memspy::attach {
namespace {

constexpr int stop(int signal, int event = 0) { return (event << 16) | (signal << 8) | 0x7f; }

TEST(WaitStatus, NamesEveryKind) {
  using Kind = WaitStatus::Kind;
  EXPECT_EQ(WaitStatus(3 << 8).kind(), Kind::kExited);
  EXPECT_EQ(WaitStatus(3 << 8).code(), 3);
  EXPECT_EQ(WaitStatus(SIGKILL).kind(), Kind::kKilled);
  EXPECT_EQ(WaitStatus(stop(SIGUSR1)).kind(), Kind::kSignalStop);
  EXPECT_EQ(WaitStatus(stop(SIGTRAP)).kind(), Kind::kSignalStop);
  EXPECT_EQ(WaitStatus(stop(SIGTRAP, PTRACE_EVENT_STOP)).kind(), Kind::kInterrupted);
  EXPECT_EQ(WaitStatus(stop(SIGTSTP, PTRACE_EVENT_STOP)).kind(), Kind::kGroupStop);
  EXPECT_EQ(WaitStatus(stop(SIGTRAP, PTRACE_EVENT_EXEC)).kind(), Kind::kEvent);
  EXPECT_EQ(WaitStatus(stop(SIGTRAP, PTRACE_EVENT_EXEC)).code(), PTRACE_EVENT_EXEC);
  EXPECT_FALSE(WaitStatus(3 << 8).stopped());
  EXPECT_TRUE(WaitStatus(stop(SIGUSR1)).stopped());
}

}  // namespace
}  // namespace memspy::attach
