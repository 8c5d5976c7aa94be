// Tells the service manager how the daemon is: sd_notify(3), a datagram of lines to the socket that
// NOTIFY_SOCKET names. Written here because it is thirty lines, and libsystemd a dependency that no
// container has.
#pragma once

#include <chrono>
#include <optional>
#include <string>

namespace memspy::daemon {

class NotifyManager {
 public:
  // As the environment has them; nullptr or "": nobody is to be told.
  NotifyManager(const char* socket, const char* watchdog_usec, const char* watchdog_pid);
  static NotifyManager from_environment();

  // "READY=1", "STATUS=…", several by line ends. What cannot be told is nobody's loss.
  void tell(const std::string& lines) const;
  // How often "WATCHDOG=1" has to be told: half of what is asked for; nullopt: never.
  std::optional<std::chrono::nanoseconds> watchdog() const { return watchdog_; }

 private:
  std::string socket_;
  std::optional<std::chrono::nanoseconds> watchdog_;
};

}  // namespace memspy::daemon
