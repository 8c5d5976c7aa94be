#include "unit/attach/blocked_threads.h"

#include <linux/aio_abi.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ipc.h>
#include <sys/prctl.h>
#include <sys/select.h>
#include <sys/sem.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>

#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <map>
#include <mutex>
#include <thread>

#include "procfs/blocked_call.h"
#include "procfs/proc_dir.h"

namespace memspy::attach {
namespace {

constexpr long kLong = 1000;  // seconds: longer than any test

int listening_socket() {
  const int fd = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in any{};
  any.sin_family = AF_INET;
  any.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  ::bind(fd, reinterpret_cast<sockaddr*>(&any), sizeof(any));
  ::listen(fd, 1);
  return fd;
}

void set_timeout(int fd) {
  const timeval timeout{kLong, 0};
  ::setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
}

// Each blocks for ever, or for kLong.
void block_in(long call, int pipe) {
  const timespec long_time{kLong, 0};
  char byte = 0;
  switch (call) {
    case SYS_futex: {
      std::mutex mutex;
      std::condition_variable never;
      std::unique_lock lock(mutex);
      never.wait(lock);
      return;
    }
    case SYS_poll: {
      pollfd fd{pipe, POLLIN, 0};
      ::poll(&fd, 1, kLong * 1000);
      return;
    }
    case SYS_pselect6:
    case SYS_select: {
      fd_set set;
      FD_ZERO(&set);
      FD_SET(pipe, &set);
      timeval time{kLong, 0};
      ::syscall(call, pipe + 1, &set, nullptr, nullptr, &time, nullptr);
      return;
    }
    case SYS_read:
      static_cast<void>(!::read(pipe, &byte, 1));
      return;
    case SYS_readv: {
      const int event = ::eventfd(0, 0);
      std::uint64_t value = 0;
      iovec piece{&value, sizeof(value)};
      static_cast<void>(!::readv(event, &piece, 1));
      return;
    }
    case SYS_clock_nanosleep:
      ::clock_nanosleep(CLOCK_MONOTONIC, 0, &long_time, nullptr);
      return;
    case SYS_nanosleep:
      ::syscall(SYS_nanosleep, &long_time, nullptr);
      return;
    case SYS_wait4: {
      const pid_t inner = ::fork();
      if (inner == 0) {
        ::prctl(PR_SET_PDEATHSIG, SIGKILL);
        for (;;) ::pause();
      }
      ::waitpid(inner, nullptr, 0);
      return;
    }
    case SYS_pause:
      ::pause();
      return;
    case SYS_epoll_wait:
    case SYS_epoll_pwait: {
      const int epoll = ::epoll_create1(0);
      epoll_event event{};
      ::syscall(call, epoll, &event, 1, kLong * 1000, nullptr, 8);
      return;
    }
    case SYS_rt_sigtimedwait: {
      sigset_t set;
      sigemptyset(&set);
      sigaddset(&set, SIGUSR2);
      ::pthread_sigmask(SIG_BLOCK, &set, nullptr);
      ::sigtimedwait(&set, nullptr, &long_time);
      return;
    }
    case SYS_semtimedop: {
      const int semaphore = ::semget(IPC_PRIVATE, 1, 0600);
      sembuf wait{0, -1, 0};
      ::semtimedop(semaphore, &wait, 1, &long_time);
      ::semctl(semaphore, 0, IPC_RMID);
      return;
    }
    case SYS_recvfrom: {
      int pair[2];
      ::socketpair(AF_UNIX, SOCK_STREAM, 0, pair);
      set_timeout(pair[0]);
      ::recv(pair[0], &byte, 1, 0);
      return;
    }
    case SYS_accept: {
      const int fd = listening_socket();
      set_timeout(fd);
      ::accept(fd, nullptr, nullptr);
      return;
    }
    case SYS_io_getevents: {
      aio_context_t context = 0;
      ::syscall(SYS_io_setup, 1, &context);
      io_event event{};
      ::syscall(SYS_io_getevents, context, 1, 1, &event, nullptr);
      return;
    }
    default:
      return;
  }
}

}  // namespace

const std::vector<BlockedThread>& blocked_threads() {
  static const std::vector<BlockedThread> kThreads = {
      {"futex", SYS_futex, true},
      {"poll", SYS_poll, true},
      {"select", SYS_select, true},
      {"pselect", SYS_pselect6, true},
      {"read of a pipe", SYS_read, true},
      {"readv of an eventfd", SYS_readv, true},
      {"nanosleep", SYS_nanosleep, true},
      {"clock_nanosleep", SYS_clock_nanosleep, true},
      {"wait4", SYS_wait4, true},
      {"pause", SYS_pause, true},
      {"epoll_wait", SYS_epoll_wait, false},
      {"epoll_pwait", SYS_epoll_pwait, false},
      {"sigtimedwait", SYS_rt_sigtimedwait, false},
      {"semtimedop", SYS_semtimedop, false},
      {"recv with a timeout", SYS_recvfrom, false},
      {"accept with a timeout", SYS_accept, false},
      {"io_getevents", SYS_io_getevents, false},
  };
  return kThreads;
}

void start_blocked_threads(CountingChild& child, int spinners) {
  const int pipe = child.silent_pipe();
  Counters* counters = &child.counters();
  for (const BlockedThread& blocked : blocked_threads()) {
    std::thread([=] {
      block_in(blocked.call, pipe);
      ++counters->cut;  // nothing ever wakes it
    }).detach();
  }
  for (int i = 0; i < spinners; ++i) {
    std::thread([=] {
      for (;;) ++counters->at[static_cast<std::size_t>(i)];
    }).detach();
  }
  child.ready();
}

bool await_blocked_threads(Pid pid) {
  const procfs::ProcDir proc;
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (std::chrono::steady_clock::now() < deadline) {
    std::map<long, int> seen;
    for (const Tid tid : proc.threads(pid).value_or({})) {
      const auto text = proc.syscall(pid, tid);
      if (!text.has_value()) continue;
      const auto call = procfs::parse_blocked_call(*text);
      if (call.has_value() && !call->running) ++seen[call->number];
    }
    bool all = true;
    for (const BlockedThread& blocked : blocked_threads()) all = all && seen[blocked.call] > 0;
    if (all) return true;
    ::usleep(1000);
  }
  return false;
}

}  // namespace memspy::attach
