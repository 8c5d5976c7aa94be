#include "attach/perf_clock.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "attach/perf_event.h"

namespace memspy::attach {
namespace {

std::uint64_t as_period(std::chrono::nanoseconds period) {
  return static_cast<std::uint64_t>(
      std::max<std::chrono::nanoseconds>(period, kShortestTick).count());
}

}  // namespace

Result<PerfClock> PerfClock::open(Tid tid, std::chrono::nanoseconds period, int signal) {
  perf_event_attr attr{};
  attr.type = PERF_TYPE_SOFTWARE;
  attr.config = PERF_COUNT_SW_CPU_CLOCK;
  attr.sample_period = as_period(period);
  attr.disabled = 1;
  attr.exclude_hv = 1;
  attr.exclude_kernel = 1;
  attr.wakeup_events = 1;
  MEMSPY_TRY(fd, open_perf_event(attr, tid, "clock"));
  MEMSPY_CHECK(route_signal(fd.get(), tid, signal));
  return PerfClock(std::move(fd));
}

void PerfClock::enable() { ::ioctl(fd_.get(), PERF_EVENT_IOC_ENABLE, 0); }
void PerfClock::disable() { ::ioctl(fd_.get(), PERF_EVENT_IOC_DISABLE, 0); }

void PerfClock::set_period(std::chrono::nanoseconds period) {
  std::uint64_t value = as_period(period);
  ::ioctl(fd_.get(), PERF_EVENT_IOC_PERIOD, &value);
}

std::chrono::nanoseconds PerfClock::take_time() {
  std::uint64_t now = 0;
  if (::read(fd_.get(), &now, sizeof(now)) != sizeof(now) || now < seen_) return {};
  return std::chrono::nanoseconds(now - std::exchange(seen_, now));
}

}  // namespace memspy::attach
