#include "daemon/push.h"

#include <algorithm>
#include <utility>

#include "daemon/outbox.h"

namespace memspy::daemon {
namespace {

using namespace std::chrono_literals;
using std::chrono::nanoseconds;

constexpr auto kBetweenWindows = 200ms;  // of those that an endpoint has missed
constexpr auto kNoted = 1s;

}  // namespace

PushPorts Pusher::ports(Log log) {
  PushPorts ports = PushPorts::real();
  ports.log = std::move(log);
  ports.ending = [this] { return ending(); };
  return ports;
}

Pusher::Pusher(std::string state_dir, const StatusBoard& board, Log log, PushConfig config,
               nanoseconds keep)
    : config_(std::move(config)),
      keep_(keep),
      queue_(std::move(state_dir), board, ports(std::move(log))) {
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
    configured_ = true;
  }
  news_.notify_all();
}

bool Pusher::ending() const {
  const std::lock_guard lock(mutex_);
  return ending_;
}

// Until the next window is tried, once a second, who is there is noted all the same.
void Pusher::run() {
  using Round = PushQueue::Round;
  SteadyTime next{};
  std::unique_lock lock(mutex_);
  while (!ending_) {
    if (config_.url.empty()) {
      queue_.pass();
      news_.wait(lock);
      continue;
    }
    const PushConfig config = config_;
    const nanoseconds keep = keep_;
    if (std::exchange(configured_, false)) next = {};  // what was wrong may be right now
    lock.unlock();
    if (std::chrono::steady_clock::now() >= next) {
      const Round round = queue_.push_window(config, keep);
      failures_ = round == Round::kFailed ? failures_ + 1 : 0;
      next = std::chrono::steady_clock::now() + pause_after(round);
    } else {
      queue_.note_targets(keep);
    }
    lock.lock();
    const auto left = next - std::chrono::steady_clock::now();
    if (!ending_) news_.wait_for(lock, std::min<nanoseconds>(left, kNoted));
  }
}

nanoseconds Pusher::pause_after(PushQueue::Round round) const {
  if (round == PushQueue::Round::kFailed) return delivery_pause(failures_);
  return round == PushQueue::Round::kDone ? nanoseconds(kBetweenWindows) : nanoseconds(kNoted);
}

}  // namespace memspy::daemon
