#include "attach/attempts.h"

#include <fcntl.h>
#include <linux/perf_event.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cerrno>

#include "attach/bpf_faults.h"
#include "attach/perf_clock.h"
#include "attach/perf_watch.h"
#include "base/unique_fd.h"

namespace memspy::attach {
namespace {

int try_signal_zero(Pid pid) { return ::kill(pid.value, 0) == 0 ? 0 : errno; }

int read_byte(Pid pid, RemoteAddr from) {
  char byte = 0;
  const iovec local = {&byte, 1};
  const iovec remote = {reinterpret_cast<void*>(from.value),
                        1};  // NOLINT(performance-no-int-to-ptr)
  return ::process_vm_readv(pid.value, &local, 1, &remote, 1, 0) == 1 ? 0 : errno;
}

int try_read_memory(const procfs::ProcDir& proc, Pid pid) {
  const auto map = proc.maps(pid);
  if (!map) return map.error().sys != 0 ? map.error().sys : EIO;
  if (map->empty()) return ENODATA;  // no memory at all: it has just ended
  // The rights are checked before the address is looked at: EFAULT says "may read". An address
  // where something is could map a page into the target.
  constexpr RemoteAddr kNowhere{1};
  const int err = read_byte(pid, kNowhere);
  return err == EFAULT ? 0 : err;
}

int try_read_pagemap(const procfs::ProcDir& proc, Pid pid) {
  const UniqueFd fd(::open(proc.path(pid, "pagemap").c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd.valid()) return errno;
  std::uint64_t entry = 0;
  return ::pread(fd.get(), &entry, sizeof(entry), 0) < 0 ? errno : 0;
}

int try_page_fault_event(Tid tid, bool with_kernel) {
  perf_event_attr attr{};
  attr.size = sizeof(attr);
  attr.type = PERF_TYPE_SOFTWARE;
  attr.config = PERF_COUNT_SW_PAGE_FAULTS;
  attr.disabled = 1;
  attr.exclude_hv = 1;
  attr.exclude_kernel = with_kernel ? 0 : 1;
  const UniqueFd fd(static_cast<int>(
      ::syscall(SYS_perf_event_open, &attr, tid.value, -1, -1, PERF_FLAG_FD_CLOEXEC)));
  return fd.valid() ? 0 : errno;
}

// A filter answers before the kernel looks for the process, which does not exist.
int try_trace() {
  errno = 0;
  ::ptrace(PTRACE_SEIZE, -1, nullptr, nullptr);
  return errno == ESRCH ? 0 : errno;
}

template <typename T>
std::string why_not(const Result<T>& attempt) {
  return attempt.has_value() ? std::string() : describe(attempt.error());
}

// Neither is armed, so neither ever sends its signal.
std::string try_watchpoint(Tid tid) { return why_not(PerfWatch::open(tid, SIGURG)); }
std::string try_clock(Tid tid) {
  return why_not(PerfClock::open(tid, std::chrono::seconds(1), SIGURG));
}

std::string try_bpf() { return why_not(BpfFaults::load()); }

}  // namespace

Attempts Attempts::real() {
  return {try_signal_zero, try_read_memory, try_read_pagemap, try_page_fault_event,
          try_trace,       try_watchpoint,  try_clock,        try_bpf};
}

Attempts Attempts::none() {
  return {[](Pid) { return kNotTried; },
          [](const procfs::ProcDir&, Pid) { return kNotTried; },
          [](const procfs::ProcDir&, Pid) { return kNotTried; },
          [](Tid, bool) { return kNotTried; },
          [] { return kNotTried; },
          [](Tid) { return std::string(kNotTriedText); },
          [](Tid) { return std::string(kNotTriedText); },
          [] { return std::string(kNotTriedText); }};
}

}  // namespace memspy::attach
