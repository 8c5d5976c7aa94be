#include "attach/perf_watch.h"

#include <linux/hw_breakpoint.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "attach/perf_event.h"
#include "base/thread_cpu.h"

namespace memspy::attach {
namespace {

constexpr std::uint64_t kDisarmedAddress = 0x1000;  // a disarmed event has an address too

perf_event_attr watch_attr(RemoteAddr address, bool disabled, bool heirs) {
  perf_event_attr attr{};
  attr.type = PERF_TYPE_BREAKPOINT;
  attr.size = sizeof(attr);
  attr.bp_type = HW_BREAKPOINT_W;
  attr.bp_addr = address.value;
  attr.bp_len = HW_BREAKPOINT_LEN_8;
  attr.sample_period = 1;
  attr.disabled = disabled ? 1 : 0;
  // What the kernel writes (a read into a buffer) is not seen: a signal there would cut the call.
  attr.exclude_kernel = 1;
  attr.exclude_hv = 1;
  attr.wakeup_events = 1;
  attr.inherit = attr.inherit_thread = heirs ? 1 : 0;  // by threads, and by no child process
  return attr;
}

}  // namespace

Result<PerfWatch> PerfWatch::open(Tid tid, std::optional<int> signal) {
  MEMSPY_TRY(fd, open_perf_event(watch_attr({kDisarmedAddress}, true, false), tid, "watchpoint"));
  if (signal) MEMSPY_CHECK(route_signal(fd.get(), tid, *signal));
  return PerfWatch(std::move(fd));
}

Result<PerfWatch> PerfWatch::open_for_heirs(Tid tid) {
  MEMSPY_TRY(fd, open_perf_event(watch_attr({kDisarmedAddress}, true, true), tid, "watchpoint"));
  PerfWatch watch(std::move(fd));
  watch.heirs_ = true;
  return watch;
}

// One call moves it and arms it (Linux 4.17); 45 us where the thread runs.
bool PerfWatch::arm(RemoteAddr address) {
  disarm();
  perf_event_attr attr = watch_attr(address, false, heirs_);
  return ::ioctl(fd_.get(), PERF_EVENT_IOC_MODIFY_ATTRIBUTES, &attr) == 0;
}

void PerfWatch::disarm() { ::ioctl(fd_.get(), PERF_EVENT_IOC_DISABLE, 0); }

std::uint64_t PerfWatch::take_count() {
  std::uint64_t count = 0;
  if (::read(fd_.get(), &count, sizeof(count)) != sizeof(count)) return 0;
  const std::uint64_t fresh = count - seen_;
  seen_ = count;
  return fresh;
}

std::chrono::nanoseconds price_of_watched_write() {
  constexpr int kWrites = 32;
  constexpr std::chrono::nanoseconds kUnknown(16'000);
  volatile std::uint64_t word = 0;
  auto watch = PerfWatch::open(Tid{::gettid()}, std::nullopt);
  if (!watch.has_value() || !watch->arm({reinterpret_cast<std::uint64_t>(&word)})) return kUnknown;
  const auto begin = thread_cpu();
  for (std::uint64_t i = 0; i < kWrites; ++i) word = i;
  const auto end = thread_cpu();
  return watch->take_count() == kWrites ? (end - begin) / kWrites : kUnknown;
}

}  // namespace memspy::attach
