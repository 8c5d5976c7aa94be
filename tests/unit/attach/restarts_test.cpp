#include "attach/restarts.h"

#include <linux/futex.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <gtest/gtest.h>

namespace memspy::attach {
namespace {

procfs::BlockedCall call(long number, std::uint64_t second = 0) {
  procfs::BlockedCall blocked;
  blocked.number = number;
  blocked.arguments[1] = second;
  return blocked;
}

TEST(RestartsTest, KnowsWhichCallsRestart) {
  for (const long number : {-1L, long{SYS_poll}, long{SYS_select}, long{SYS_nanosleep},
                            long{SYS_restart_syscall}, long{SYS_wait4}}) {
    EXPECT_TRUE(restarts_cleanly(call(number), FileKind::kUnknown)) << number;
  }
  for (const long number : {SYS_epoll_wait, SYS_epoll_pwait, SYS_epoll_pwait2, SYS_rt_sigtimedwait,
                            SYS_semop, SYS_io_getevents, SYS_recvfrom, SYS_accept4, SYS_write}) {
    EXPECT_FALSE(restarts_cleanly(call(number), FileKind::kPipe)) << number;
  }
  EXPECT_FALSE(restarts_cleanly(call(100000), FileKind::kPipe));
}

TEST(RestartsTest, LooksAtTheOperationOfFutex) {
  EXPECT_TRUE(restarts_cleanly(call(SYS_futex, FUTEX_WAIT | FUTEX_PRIVATE_FLAG), {}));
  EXPECT_TRUE(restarts_cleanly(
      call(SYS_futex, FUTEX_WAIT_BITSET | FUTEX_PRIVATE_FLAG | FUTEX_CLOCK_REALTIME), {}));
  EXPECT_FALSE(restarts_cleanly(call(SYS_futex, FUTEX_WAIT_REQUEUE_PI), {}));
}

TEST(RestartsTest, LooksAtWhatIsRead) {
  EXPECT_TRUE(restarts_cleanly(call(SYS_read), FileKind::kPipe));
  EXPECT_TRUE(restarts_cleanly(call(SYS_readv), FileKind::kEvents));
  EXPECT_FALSE(restarts_cleanly(call(SYS_read), FileKind::kUnknown));
  int pipe[2], sockets[2];
  ASSERT_EQ(::pipe(pipe), 0);
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM, 0, sockets), 0);
  const int event = ::eventfd(0, 0);
  const auto kind = [](int fd) { return file_kind("/proc/self/fd/" + std::to_string(fd)); };
  EXPECT_EQ(kind(pipe[0]), FileKind::kPipe);
  EXPECT_EQ(kind(event), FileKind::kEvents);
  EXPECT_EQ(kind(sockets[0]), FileKind::kUnknown);
  EXPECT_EQ(kind(123456), FileKind::kUnknown);
  for (const int fd : {pipe[0], pipe[1], sockets[0], sockets[1], event}) ::close(fd);
}

}  // namespace
}  // namespace memspy::attach
