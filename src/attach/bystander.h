// What a look at a process needs of Seizure's observer: nothing. It ends before anything can happen
// that matters to it.
#pragma once

#include <pthread.h>
#include <signal.h>

#include <thread>

#include "attach/seizure.h"

namespace memspy::attach {

class Bystander final : public TraceeObserver {
 public:
  void on_thread_started(Pid, Tid, ThreadOrigin) override {}
  void on_thread_ended(Pid, Tid) override {}
  void on_forked(Pid, Pid, bool) override {}
  void on_exec(Pid) override {}
  void on_exiting(Pid) override {}
  void on_process_ended(Pid, WaitStatus) override {}
  bool on_signal(Pid, Tid, const SignalStop&) override { return false; }
  void on_resumed(Pid, Tid) override {}
};

// `body` on a thread that blocks SIGCHLD, as a tracer has to, and ends before this returns: the
// kernel then lets go of whatever it has seized, without stopping it.
template <typename Body>
void on_tracer_thread(const Body& body) {
  std::thread tracer([&] {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    ::pthread_sigmask(SIG_BLOCK, &set, nullptr);
    body();
  });
  tracer.join();
}

}  // namespace memspy::attach
