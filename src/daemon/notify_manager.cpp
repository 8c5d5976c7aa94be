#include "daemon/notify_manager.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <charconv>
#include <cstddef>
#include <cstdlib>
#include <cstring>

#include "base/unique_fd.h"

namespace memspy::daemon {
namespace {

std::optional<long long> whole_number(const char* text) {
  if (text == nullptr) return std::nullopt;
  const char* end = text + std::strlen(text);
  long long value = 0;
  const auto [at, error] = std::from_chars(text, end, value);
  if (error != std::errc{} || at != end || value <= 0) return std::nullopt;
  return value;
}

}  // namespace

NotifyManager::NotifyManager(const char* socket, const char* watchdog_usec,
                             const char* watchdog_pid)
    : socket_(socket != nullptr ? socket : "") {
  const auto usec = whole_number(watchdog_usec);
  if (!usec) return;
  // The variables may be another process' that started this one.
  const auto pid = whole_number(watchdog_pid);
  if (pid && *pid != ::getpid()) return;
  watchdog_ = std::chrono::microseconds(*usec) / 2;
}

NotifyManager NotifyManager::from_environment() {
  // NOLINTBEGIN(concurrency-mt-unsafe): before any thread exists
  return {std::getenv("NOTIFY_SOCKET"), std::getenv("WATCHDOG_USEC"), std::getenv("WATCHDOG_PID")};
  // NOLINTEND(concurrency-mt-unsafe)
}

void NotifyManager::tell(const std::string& lines) const {
  sockaddr_un address{};
  if (socket_.empty() || socket_.size() >= sizeof(address.sun_path)) return;
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, socket_.data(), socket_.size());
  if (address.sun_path[0] == '@') address.sun_path[0] = '\0';  // abstract
  const UniqueFd fd(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd.valid()) return;
  const auto length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + socket_.size());
  ::sendto(fd.get(), lines.data(), lines.size(), MSG_NOSIGNAL,
           reinterpret_cast<const sockaddr*>(&address), length);
}

}  // namespace memspy::daemon
