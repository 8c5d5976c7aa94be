#include "daemon/push.h"

#include "daemon/outbox.h"

namespace memspy::daemon {
namespace {

using namespace std::chrono_literals;
using std::chrono::nanoseconds;

constexpr auto kBetweenWindows = 200ms;  // of those that an endpoint has missed

}  // namespace

PushPorts Pusher::ports(Log log) {
  PushPorts ports = PushPorts::real();
  ports.log = std::move(log);
  ports.ending = [this] { return ending(); };
  return ports;
}

Pusher::Pusher(std::string state_dir, const StatusBoard& board, Log log)
    : queue_(std::move(state_dir), board, ports(std::move(log))) {
  thread_ = std::thread([this] { run(); });
}

Pusher::~Pusher() {
  {
    const std::lock_guard lock(mutex_);
    ending_ = true;
  }
  news_.notify_all();
  thread_.join();
}

void Pusher::set_config(PushConfig config, nanoseconds keep) {
  {
    const std::lock_guard lock(mutex_);
    config_ = std::move(config);
    keep_ = keep;
  }
  news_.notify_all();
}

bool Pusher::ending() const {
  const std::lock_guard lock(mutex_);
  return ending_;
}

void Pusher::run() {
  using Round = PushQueue::Round;
  std::unique_lock lock(mutex_);
  while (!ending_) {
    if (config_.url.empty()) {
      queue_.pass();
      news_.wait(lock);
      continue;
    }
    const PushConfig config = config_;
    const nanoseconds keep = keep_;
    lock.unlock();
    const Round round = queue_.push_window(config, keep);
    lock.lock();
    failures_ = round == Round::kFailed ? failures_ + 1 : 0;
    // Targets that begin and end within a window are noted all the same.
    const nanoseconds pause = round == Round::kFailed ? delivery_pause(failures_)
                              : round == Round::kDone ? nanoseconds(kBetweenWindows)
                                                      : nanoseconds(1s);
    if (!ending_) news_.wait_for(lock, pause);
  }
}

}  // namespace memspy::daemon
