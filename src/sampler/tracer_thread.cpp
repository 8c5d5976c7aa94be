#include "sampler/tracer_thread.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <thread>

namespace memspy::sampler {
namespace {

using namespace std::chrono_literals;

constexpr int kTracerNice = -15;
constexpr auto kReleaseTime = 5ms;

}  // namespace

UniqueFd open_child_signals() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGCHLD);
  return UniqueFd(::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
}

void empty_child_signals(int fd) {
  std::array<signalfd_siginfo, 16> infos;
  while (::read(fd, infos.data(), sizeof(infos)) > 0) {
  }
}

void ask_for_priority() { ::setpriority(PRIO_PROCESS, static_cast<id_t>(::gettid()), kTracerNice); }

void take_last_signals(attach::Seizure& seizure) {
  const auto end = std::chrono::steady_clock::now() + kReleaseTime;
  while (std::chrono::steady_clock::now() < end) {
    if (seizure.dispatch() == 0) std::this_thread::sleep_for(200us);
  }
}

}  // namespace memspy::sampler
