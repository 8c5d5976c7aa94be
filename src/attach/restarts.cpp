#include "attach/restarts.h"

#include <linux/futex.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>

#include <spdlog/fmt/fmt.h>

namespace memspy::attach {

bool restarts_cleanly(const procfs::BlockedCall& call, FileKind file) {
  switch (call.number) {
    case -1:  // a page fault: it is finished first
    case SYS_poll:
    case SYS_ppoll:
    case SYS_select:
    case SYS_pselect6:
    case SYS_nanosleep:
    case SYS_clock_nanosleep:
    case SYS_wait4:
    case SYS_waitid:
    case SYS_pause:
    // One of poll, nanosleep and futex after an earlier interrupt.
    case SYS_restart_syscall:
      return true;
    case SYS_futex: {
      const std::uint64_t operation = call.arguments[1] & FUTEX_CMD_MASK;
      return operation == FUTEX_WAIT || operation == FUTEX_WAIT_BITSET;
    }
    // A blocked read of these has read nothing yet. Sockets may have SO_RCVTIMEO, terminals a
    // minimum of which some is there: both would return early.
    case SYS_read:
    case SYS_readv:
      return file != FileKind::kUnknown;
    default:
      return false;
  }
}

FileKind file_kind(const std::string& descriptor_path) {
  struct stat info {};
  if (::stat(descriptor_path.c_str(), &info) != 0) return FileKind::kUnknown;
  if (S_ISFIFO(info.st_mode)) return FileKind::kPipe;
  std::array<char, 64> link{};
  static_cast<void>(!::readlink(descriptor_path.c_str(), link.data(), link.size() - 1));
  for (const char* name : {"[eventfd]", "[timerfd]", "[signalfd]", "inotify"}) {
    if (std::string("anon_inode:") + name == link.data()) return FileKind::kEvents;
  }
  return FileKind::kUnknown;
}

Stoppable stoppable(const procfs::ProcDir& proc, Pid pid, Tid tid) {
  const auto text = proc.syscall(pid, tid);
  if (!text.has_value()) {
    // Some containers hide the file; that a thread runs is told elsewhere too.
    const auto stat = proc.stat(pid, tid);
    return stat.has_value() && stat->state == 'R' ? Stoppable::kComputing : Stoppable::kNot;
  }
  const auto call = procfs::parse_blocked_call(*text);
  if (!call.has_value()) return Stoppable::kNot;
  if (call->running) return Stoppable::kComputing;
  FileKind file = FileKind::kUnknown;
  if (call->number == SYS_read || call->number == SYS_readv) {
    // The kernel takes the lower half of the register.
    const auto descriptor = static_cast<std::uint32_t>(call->arguments[0]);
    file = file_kind(proc.path(pid, fmt::format("fd/{}", descriptor)));
  }
  return restarts_cleanly(*call, file) ? Stoppable::kBlocked : Stoppable::kNot;
}

}  // namespace memspy::attach
