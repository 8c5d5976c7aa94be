#include "daemon/event_loop.h"

#include <sys/epoll.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>

namespace memspy::daemon {

Result<EventLoop> EventLoop::create() {
  UniqueFd fd(::epoll_create1(EPOLL_CLOEXEC));
  if (fd.valid()) return EventLoop(std::move(fd));
  const int error = errno;
  return make_error(Errc::kInternal, "cannot make an epoll descriptor", error);
}

Result<Unit> EventLoop::add(int fd, Callback callback) {
  // The number of a closed descriptor may be used again within one round: the generation tells.
  const std::uint64_t tag = (++generation_ << 32) | static_cast<std::uint32_t>(fd);
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.u64 = tag;
  if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) != 0) {
    const int error = errno;
    return make_error(Errc::kInternal, "cannot watch a descriptor", error);
  }
  callbacks_[fd] = {tag, std::move(callback)};
  return Unit{};
}

void EventLoop::remove(int fd) {
  if (callbacks_.erase(fd) > 0) ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, nullptr);
}

void EventLoop::run_once(SteadyTime deadline) {
  using namespace std::chrono;
  constexpr milliseconds kLongest{60000};
  const auto left = ceil<milliseconds>(deadline - steady_clock::now());
  std::array<epoll_event, 64> events{};
  const int count =
      ::epoll_wait(epoll_.get(), events.data(), events.size(),
                   static_cast<int>(std::clamp(left, milliseconds(0), kLongest).count()));
  for (int i = 0; i < count; ++i) {
    const std::uint64_t tag = events[static_cast<std::size_t>(i)].data.u64;
    const auto it = callbacks_.find(static_cast<int>(tag & 0xffffffffU));
    if (it == callbacks_.end() || it->second.first != tag) continue;
    const Callback callback = it->second.second;  // it may remove itself
    callback();
  }
}

}  // namespace memspy::daemon
