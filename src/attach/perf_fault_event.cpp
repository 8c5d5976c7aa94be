#include "attach/perf_fault_event.h"

#include <linux/perf_event.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <utility>

#include "attach/perf_event.h"

namespace memspy::attach {
namespace {

constexpr std::size_t kPage = 4096;

// <asm/perf_regs.h>: bits of sample_regs_user. A record has them in the order of the bits.
constexpr unsigned kBx = 1, kDi = 5, kBp = 6, kSp = 7, kIp = 8, kR12 = 20, kR13 = 21, kR14 = 22,
                   kR15 = 23;

constexpr std::uint64_t bits(auto... registers) { return ((1ULL << registers) | ...); }

bool is_trail(FaultKind kind) {
  return kind == FaultKind::kUserTrail || kind == FaultKind::kCallTrail ||
         kind == FaultKind::kTrailAll;
}

perf_event_attr fault_attr(FaultKind kind, std::uint64_t period, std::size_t ring_bytes,
                           std::size_t stack_bytes) {
  perf_event_attr attr{};
  attr.type = PERF_TYPE_SOFTWARE;
  attr.config = PERF_COUNT_SW_PAGE_FAULTS;
  attr.sample_period = period;
  // Never PERF_SAMPLE_PERIOD: with it the kernel samples every event and ignores the period.
  attr.sample_type = PERF_SAMPLE_ADDR;
  attr.disabled = 1;
  attr.exclude_hv = 1;
  attr.exclude_kernel = kind == FaultKind::kSignalled || kind == FaultKind::kUserTrail ? 1 : 0;
  attr.exclude_user = kind == FaultKind::kSilent || kind == FaultKind::kCallTrail ? 1 : 0;
  attr.wakeup_events = 1;
  if (is_trail(kind)) {
    attr.watermark = 1;
    attr.wakeup_watermark =
        static_cast<std::uint32_t>(std::min(ring_bytes / 2, kTrailWake * stack_bytes));
  }
  if (kind != FaultKind::kSignalled) {
    attr.sample_type |= PERF_SAMPLE_REGS_USER | PERF_SAMPLE_STACK_USER;
    attr.sample_regs_user = bits(kBx, kDi, kBp, kSp, kIp, kR12, kR13, kR14, kR15);
    attr.sample_stack_user = static_cast<std::uint32_t>(stack_bytes);
  }
  return attr;
}

}  // namespace

Result<PerfFaultEvent> PerfFaultEvent::open(Tid tid, FaultKind kind, std::uint64_t period,
                                            int signal, std::size_t ring_bytes,
                                            std::size_t stack_bytes) {
  MEMSPY_TRY(fd,
             open_perf_event(fault_attr(kind, period, ring_bytes, stack_bytes), tid, "page-fault"));
  if (kind == FaultKind::kSignalled) MEMSPY_CHECK(route_signal(fd.get(), tid, signal));
  void* ring = ::mmap(nullptr, kPage + ring_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd.get(), 0);
  return PerfFaultEvent(std::move(fd), ring == MAP_FAILED ? nullptr : ring, ring_bytes);
}

PerfFaultEvent::PerfFaultEvent(PerfFaultEvent&& other) noexcept
    : fd_(std::move(other.fd_)),
      ring_(std::exchange(other.ring_, nullptr)),
      data_bytes_(other.data_bytes_),
      seen_(other.seen_) {}

PerfFaultEvent& PerfFaultEvent::operator=(PerfFaultEvent&& other) noexcept {
  if (this != &other) {
    unmap();
    fd_ = std::move(other.fd_);
    ring_ = std::exchange(other.ring_, nullptr);
    data_bytes_ = other.data_bytes_;
    seen_ = other.seen_;
  }
  return *this;
}

PerfFaultEvent::~PerfFaultEvent() { unmap(); }

void PerfFaultEvent::unmap() {
  if (ring_ != nullptr) ::munmap(ring_, kPage + data_bytes_);
}

void PerfFaultEvent::enable() { ::ioctl(fd_.get(), PERF_EVENT_IOC_ENABLE, 0); }
void PerfFaultEvent::disable() { ::ioctl(fd_.get(), PERF_EVENT_IOC_DISABLE, 0); }

std::uint64_t PerfFaultEvent::take_count() {
  std::uint64_t now = 0;
  if (::read(fd_.get(), &now, sizeof(now)) != sizeof(now)) return 0;
  return now - std::exchange(seen_, now);
}

void PerfFaultEvent::set_period(std::uint64_t period) {
  ::ioctl(fd_.get(), PERF_EVENT_IOC_PERIOD, &period);
}

bool PerfFaultEvent::has_records() const {
  if (ring_ == nullptr) return false;
  auto* control = static_cast<perf_event_mmap_page*>(ring_);
  return std::atomic_ref(control->data_head).load(std::memory_order_acquire) != control->data_tail;
}

// The body of a record may wrap around the end of the ring.
void PerfFaultEvent::copy_out(std::uint64_t at, std::size_t size) {
  const auto* data = static_cast<const std::byte*>(ring_) + kPage;
  raw_.resize(size / sizeof(std::uint64_t));
  auto* out = reinterpret_cast<std::byte*>(raw_.data());
  const std::size_t begin = at % data_bytes_, bytes = raw_.size() * sizeof(std::uint64_t);
  const std::size_t first = std::min(bytes, data_bytes_ - begin);
  std::memcpy(out, data + begin, first);
  std::memcpy(out + first, data, bytes - first);
}

// Body of a sample: the address, the registers' ABI, the registers unless that is "none", the size
// of the stack and, unless that is 0, its bytes and how many of them are good.
void PerfFaultEvent::decode() {
  constexpr std::size_t kRegisters = 9;
  const auto word = [&](std::size_t index) { return index < raw_.size() ? raw_[index] : 0; };
  record_.address = {word(0)};
  record_.argument = record_.stack = record_.code = 0;
  record_.words.clear();
  if (word(1) == PERF_SAMPLE_REGS_ABI_NONE || raw_.size() < 2 + kRegisters) return;
  record_.argument = word(3);
  record_.stack = word(5);
  record_.code = word(6);
  record_.words.assign({word(2), word(4), word(7), word(8), word(9), word(10)});
  constexpr std::size_t kStackAt = 2 + kRegisters;
  const std::uint64_t stack_words = word(kStackAt) / sizeof(std::uint64_t);
  if (stack_words == 0 || kStackAt + 1 + stack_words >= raw_.size()) return;
  const std::uint64_t good =
      std::min(stack_words, word(kStackAt + 1 + stack_words) / sizeof(std::uint64_t));
  const auto begin = raw_.begin() + static_cast<std::ptrdiff_t>(kStackAt + 1);
  record_.words.insert(record_.words.end(), begin, begin + static_cast<std::ptrdiff_t>(good));
}

void PerfFaultEvent::take_records(const std::function<void(const FaultRecord&)>& visit) {
  if (ring_ == nullptr) return;
  auto* control = static_cast<perf_event_mmap_page*>(ring_);
  const auto* data = static_cast<const std::byte*>(ring_) + kPage;
  const std::uint64_t head = std::atomic_ref(control->data_head).load(std::memory_order_acquire);
  std::uint64_t tail = control->data_tail;
  while (tail + sizeof(perf_event_header) <= head) {
    perf_event_header header;  // 8 bytes, aligned: never wraps
    std::memcpy(&header, data + tail % data_bytes_, sizeof(header));
    if (header.size < sizeof(header) || tail + header.size > head) break;
    const bool sample = header.type == PERF_RECORD_SAMPLE;
    if (sample) copy_out(tail + sizeof(header), header.size - sizeof(header));
    tail += header.size;
    // At once: a burst goes on while its records are looked at, and needs the room.
    std::atomic_ref(control->data_tail).store(tail, std::memory_order_release);
    if (!sample) continue;
    decode();
    visit(record_);
  }
  // Behind a header that makes no sense nothing can be read.
  if (tail < head) std::atomic_ref(control->data_tail).store(head, std::memory_order_release);
}

}  // namespace memspy::attach
