#include "attach/perf_fault_event.h"

#include <fcntl.h>
#include <linux/perf_event.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstring>
#include <utility>

// In <fcntl.h> only with _GNU_SOURCE's extensions on some libcs.
#ifndef F_SETSIG
#define F_SETSIG 10
#endif

namespace memspy::attach {
namespace {

constexpr std::size_t kPage = 4096;
constexpr std::size_t kRingBytes = 2 * kPage;  // the control page and one page of records

// <asm/perf_regs.h>: bits of sample_regs_user, and the order in which they come.
constexpr std::uint64_t kRegisterDi = 1U << 5, kRegisterSp = 1U << 7, kRegisterIp = 1U << 8;

perf_event_attr fault_attr(FaultKind kind, std::uint64_t period) {
  perf_event_attr attr{};
  attr.size = sizeof(attr);
  attr.type = PERF_TYPE_SOFTWARE;
  attr.config = PERF_COUNT_SW_PAGE_FAULTS;
  attr.sample_period = period;
  // Never PERF_SAMPLE_PERIOD: with it the kernel samples every event and ignores the period.
  attr.sample_type = PERF_SAMPLE_ADDR;
  attr.disabled = 1;
  attr.exclude_hv = 1;
  attr.exclude_kernel = kind == FaultKind::kSignalled ? 1 : 0;
  attr.exclude_user = kind == FaultKind::kSilent ? 1 : 0;
  attr.wakeup_events = 1;
  if (kind != FaultKind::kSignalled) {
    attr.sample_type |= PERF_SAMPLE_REGS_USER;
    attr.sample_regs_user = kRegisterDi | kRegisterSp | kRegisterIp;
  }
  return attr;
}

Result<Unit> route_signal(int fd, Tid tid, int signal) {
  // F_SETOWN_EX and its struct: one thread, not its process, gets the signal.
  f_owner_ex owner{F_OWNER_TID, tid.value};
  if (::fcntl(fd, F_SETSIG, signal) != 0 || ::fcntl(fd, F_SETOWN_EX, &owner) != 0 ||
      ::fcntl(fd, F_SETFL, O_ASYNC) != 0) {
    return make_error(Errc::kInternal, "cannot route perf signals to thread " + std::to_string(tid.value), errno);
  }
  return Unit{};
}

}  // namespace

Result<PerfFaultEvent> PerfFaultEvent::open(Tid tid, FaultKind kind, std::uint64_t period, int signal) {
  perf_event_attr attr = fault_attr(kind, period);
  UniqueFd fd(static_cast<int>(::syscall(SYS_perf_event_open, &attr, tid.value, -1, -1, PERF_FLAG_FD_CLOEXEC)));
  if (!fd.valid()) {
    const int err = errno;
    const Errc code = err == ESRCH ? Errc::kNoSuchProcess
                      : err == EACCES || err == EPERM ? Errc::kPermission
                                                      : Errc::kUnsupported;
    return make_error(code, "cannot open a page-fault event on thread " + std::to_string(tid.value), err);
  }
  if (kind == FaultKind::kSignalled) MEMSPY_CHECK(route_signal(fd.get(), tid, signal));
  // May fail beyond perf_event_mlock_kb for an unprivileged user: then there are no addresses.
  void* ring = ::mmap(nullptr, kRingBytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd.get(), 0);
  return PerfFaultEvent(std::move(fd), ring == MAP_FAILED ? nullptr : ring);
}

PerfFaultEvent::PerfFaultEvent(PerfFaultEvent&& other) noexcept
    : fd_(std::move(other.fd_)),
      ring_(std::exchange(other.ring_, nullptr)),
      seen_(other.seen_),
      records_(std::move(other.records_)) {}

PerfFaultEvent& PerfFaultEvent::operator=(PerfFaultEvent&& other) noexcept {
  if (this != &other) {
    if (ring_ != nullptr) ::munmap(ring_, kRingBytes);
    fd_ = std::move(other.fd_);
    ring_ = std::exchange(other.ring_, nullptr);
    seen_ = other.seen_;
    records_ = std::move(other.records_);
  }
  return *this;
}

PerfFaultEvent::~PerfFaultEvent() {
  if (ring_ != nullptr) ::munmap(ring_, kRingBytes);
}

void PerfFaultEvent::enable() { ::ioctl(fd_.get(), PERF_EVENT_IOC_ENABLE, 0); }
void PerfFaultEvent::disable() { ::ioctl(fd_.get(), PERF_EVENT_IOC_DISABLE, 0); }

std::uint64_t PerfFaultEvent::take_count() {
  std::uint64_t now = 0;
  if (::read(fd_.get(), &now, sizeof(now)) != sizeof(now)) return 0;
  return now - std::exchange(seen_, now);
}

void PerfFaultEvent::set_period(std::uint64_t period) { ::ioctl(fd_.get(), PERF_EVENT_IOC_PERIOD, &period); }

std::uint64_t PerfFaultEvent::peek_count() const {
  std::uint64_t now = 0;
  return ::read(fd_.get(), &now, sizeof(now)) == sizeof(now) ? now - seen_ : 0;
}

// Body of a sample: the address, then (kSilent) the registers' ABI and the registers. `at` is where
// the body begins; words never wrap, the body may.
FaultRecord PerfFaultEvent::decode(std::uint64_t at, std::size_t size) const {
  const auto* data = static_cast<const std::byte*>(ring_) + kPage;
  const auto word = [&](std::size_t index) {
    std::uint64_t value = 0;
    if ((index + 1) * sizeof(value) <= size) {
      std::memcpy(&value, data + (at + index * sizeof(value)) % kPage, sizeof(value));
    }
    return value;
  };
  FaultRecord record;
  record.address = {word(0)};
  if (word(1) != PERF_SAMPLE_REGS_ABI_NONE) {
    record.argument = word(2);
    record.stack = word(3);
    record.code = word(4);
  }
  return record;
}

std::span<const FaultRecord> PerfFaultEvent::take_records() {
  records_.clear();
  if (ring_ == nullptr) return {};
  auto* control = static_cast<perf_event_mmap_page*>(ring_);
  const auto* data = static_cast<const std::byte*>(ring_) + kPage;
  const std::uint64_t head = std::atomic_ref(control->data_head).load(std::memory_order_acquire);
  std::uint64_t tail = control->data_tail;
  while (tail + sizeof(perf_event_header) <= head) {
    perf_event_header header;  // 8 bytes, aligned: never wraps
    std::memcpy(&header, data + tail % kPage, sizeof(header));
    if (header.size < sizeof(header) || tail + header.size > head) break;
    if (header.type == PERF_RECORD_SAMPLE) {
      records_.push_back(decode(tail + sizeof(header), header.size - sizeof(header)));
    }
    tail += header.size;
  }
  std::atomic_ref(control->data_tail).store(head, std::memory_order_release);
  return records_;
}

}  // namespace memspy::attach
