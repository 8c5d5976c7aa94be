// The kernel's own news of processes: the proc connector (netlink, connector(4) in the kernel's
// Documentation/driver-api/connector.rst, cn_proc.h). Needs CAP_NET_ADMIN, the first PID and user
// namespace; before Linux 6.6 every event of the host comes. Events may be lost when many come at
// once; then the kernel says so (ENOBUFS) and a scan of /proc is due.
//
// One thread.
#pragma once

#include <string_view>
#include <vector>

#include "base/unique_fd.h"
#include "memspy/address.h"
#include "memspy/result.h"

namespace memspy::daemon {

struct ProcEvent {
  enum class Kind { kFork, kExec, kExit, kName };
  Kind kind = Kind::kFork;
  Pid pid;  // fork: the child
};

// Of one datagram; threads' events and kinds that do not matter are left out, and so is whatever
// does not hold together.
std::vector<ProcEvent> parse_proc_events(std::string_view datagram);

class ProcEvents {
 public:
  // kPermission, or kUnsupported where the kernel or the namespace has none.
  static Result<ProcEvents> open();

  int fd() const { return fd_.get(); }
  struct Batch {
    std::vector<ProcEvent> events;
    bool lost = false;  // some did not fit
  };
  // What has come so far; does not wait.
  Batch take();

 private:
  explicit ProcEvents(UniqueFd fd) : fd_(std::move(fd)) {}
  UniqueFd fd_;
};

}  // namespace memspy::daemon
