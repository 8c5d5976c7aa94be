#include "attach/clock_stop.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <cerrno>
#include <string>

#include "attach/perf_event.h"

namespace memspy::attach {
namespace {

constexpr std::uint64_t kShortestPeriod = 10'000;  // ns; the kernel takes nothing shorter

}  // namespace

Result<ClockStop> ClockStop::arm(Tid tid, int signal) {
  perf_event_attr attr{};
  attr.type = PERF_TYPE_SOFTWARE;
  attr.config = PERF_COUNT_SW_CPU_CLOCK;
  attr.sample_period = kShortestPeriod;
  attr.disabled = 1;
  attr.exclude_hv = 1;
  attr.exclude_kernel = 1;
  attr.wakeup_events = 1;
  MEMSPY_TRY(fd, open_perf_event(attr, tid, "clock"));
  MEMSPY_CHECK(route_signal(fd.get(), tid, signal));
  if (::ioctl(fd.get(), PERF_EVENT_IOC_REFRESH, 1) != 0) {  // one overflow, then none
    const int err = errno;
    return make_error(Errc::kUnsupported,
                      "cannot start the clock of thread " + std::to_string(tid.value), err);
  }
  return ClockStop(std::move(fd), signal);
}

std::chrono::nanoseconds ClockStop::time_run() const {
  std::uint64_t count = 0;
  if (::read(fd_.get(), &count, sizeof(count)) != sizeof(count)) return {};
  return std::chrono::nanoseconds(count);
}

void ClockStop::rearm() { ::ioctl(fd_.get(), PERF_EVENT_IOC_ENABLE, 0); }
void ClockStop::disarm() { ::ioctl(fd_.get(), PERF_EVENT_IOC_DISABLE, 0); }

}  // namespace memspy::attach
