// A forked process for tests of attach: pipes to shake hands through, and a page of shared memory
// in which it counts.
#pragma once

#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <functional>

#include <gtest/gtest.h>

#include "memspy/address.h"

namespace memspy::attach {

struct Counters {
  std::array<std::atomic<std::uint64_t>, 16> at{};
  std::atomic<std::uint64_t> cut{0};  // calls that returned EINTR, or too early
};

// Runs `body` at once; it says ready() when its state can be tested, and waits for go() if it
// wants.
class CountingChild {
 public:
  explicit CountingChild(const std::function<void(CountingChild&)>& body) {
    void* shared = ::mmap(nullptr, sizeof(Counters), PROT_READ | PROT_WRITE,
                          MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    counters_ = new (shared) Counters;
    EXPECT_EQ(::pipe(ready_), 0);
    EXPECT_EQ(::pipe(go_), 0);
    pid_ = ::fork();
    if (pid_ == 0) {
      sigset_t none;
      sigemptyset(&none);
      ::sigprocmask(SIG_SETMASK, &none, nullptr);
      body(*this);
      ::_exit(0);
    }
    char byte = 0;
    EXPECT_EQ(::read(ready_[0], &byte, 1), 1);
  }
  CountingChild(const CountingChild&) = delete;
  CountingChild& operator=(const CountingChild&) = delete;
  ~CountingChild() {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, __WALL);
    for (const int fd : {ready_[0], ready_[1], go_[0], go_[1]}) ::close(fd);
    ::munmap(counters_, sizeof(Counters));
  }

  // In the child:
  void ready() const { static_cast<void>(!::write(ready_[1], "r", 1)); }
  void wait() const {
    char byte = 0;
    static_cast<void>(!::read(go_[0], &byte, 1));
  }
  int silent_pipe() const { return go_[0]; }  // nothing comes until go()

  // In the test:
  void go() const { EXPECT_EQ(::write(go_[1], "g", 1), 1); }
  void await_ready() const {
    char byte = 0;
    EXPECT_EQ(::read(ready_[0], &byte, 1), 1);
  }
  Pid pid() const { return {pid_}; }
  // Not a zombie either.
  bool alive() const {
    siginfo_t info{};
    return ::waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
           info.si_pid == 0;
  }

  Counters& counters() const { return *counters_; }

 private:
  int ready_[2]{}, go_[2]{};
  pid_t pid_ = -1;
  Counters* counters_ = nullptr;
};

}  // namespace memspy::attach
