#include "attach/perf_event.h"

#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <string>

// In <fcntl.h> only with _GNU_SOURCE's extensions on some libcs.
#ifndef F_SETSIG
#define F_SETSIG 10
#endif

namespace memspy::attach {

Result<UniqueFd> open_perf_event(perf_event_attr attr, Tid tid, const char* what) {
  attr.size = sizeof(attr);
  UniqueFd fd(static_cast<int>(
      ::syscall(SYS_perf_event_open, &attr, tid.value, -1, -1, PERF_FLAG_FD_CLOEXEC)));
  if (fd.valid()) return fd;
  const int err = errno;
  const Errc code = err == ESRCH                    ? Errc::kNoSuchProcess
                    : err == EACCES || err == EPERM ? Errc::kPermission
                                                    : Errc::kUnsupported;
  return make_error(
      code, std::string("cannot open a ") + what + " event on thread " + std::to_string(tid.value),
      err);
}

Result<Unit> route_signal(int fd, Tid tid, int signal) {
  // F_SETOWN_EX and its struct: one thread, not its process, gets the signal.
  f_owner_ex owner{F_OWNER_TID, tid.value};
  if (::fcntl(fd, F_SETSIG, signal) != 0 || ::fcntl(fd, F_SETOWN_EX, &owner) != 0 ||
      ::fcntl(fd, F_SETFL, O_ASYNC) != 0) {
    const int err = errno;
    return make_error(Errc::kInternal,
                      "cannot route perf signals to thread " + std::to_string(tid.value), err);
  }
  return Unit{};
}

}  // namespace memspy::attach
