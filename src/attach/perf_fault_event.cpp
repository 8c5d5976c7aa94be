#include "attach/perf_fault_event.h"

#include <linux/perf_event.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstring>
#include <span>
#include <utility>

#include "attach/perf_event.h"

namespace memspy::attach {
namespace {

constexpr std::size_t kRingPage = 4096;

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
  void* ring =
      ::mmap(nullptr, kRingPage + ring_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd.get(), 0);
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
  if (ring_ != nullptr) ::munmap(ring_, kRingPage + data_bytes_);
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

namespace {

// The body of a record in the ring: words that may wrap around its end.
class RingBody {
 public:
  RingBody(std::span<const std::uint64_t> ring, std::size_t begin, std::size_t size)
      : ring_(ring), begin_(begin), size_(size) {}
  std::size_t size() const { return size_; }
  std::uint64_t operator[](std::size_t index) const {
    return index < size_ ? ring_[(begin_ + index) % ring_.size()] : 0;
  }
  // `count` words from `index` on, in two pieces.
  std::array<std::span<const std::uint64_t>, 2> pieces(std::size_t index, std::size_t count) const {
    const std::size_t begin = (begin_ + index) % ring_.size();
    const std::size_t first = std::min(count, ring_.size() - begin);
    return {ring_.subspan(begin, first), ring_.first(count - first)};
  }

 private:
  std::span<const std::uint64_t> ring_;
  std::size_t begin_, size_;  // words
};

// A sample: the address, the registers' ABI, the registers unless that is "none", the size of the
// stack and, unless that is 0, its bytes and how many of them are good.
FaultRecord decode(const RingBody& body) {
  constexpr std::size_t kRegisters = 9, kStackAt = 2 + kRegisters;
  FaultRecord record;
  record.address = {body[0]};
  if (body[1] == PERF_SAMPLE_REGS_ABI_NONE || body.size() < kStackAt) return record;
  record.argument = body[3];
  record.stack = body[5];
  record.code = body[6];
  const FaultWords::Registers registers{body[2], body[4], body[7], body[8], body[9], body[10]};
  const std::uint64_t stack_words = body[kStackAt] / sizeof(std::uint64_t);
  std::uint64_t good = 0;
  if (stack_words != 0 && stack_words < body.size() - std::min(body.size(), kStackAt + 1))
    good = std::min(stack_words, body[kStackAt + 1 + stack_words] / sizeof(std::uint64_t));
  const auto [head, tail] = body.pieces(kStackAt + 1, good);
  record.words = FaultWords(registers, head, tail);
  return record;
}

}  // namespace

void PerfFaultEvent::take_records(const std::function<void(const FaultRecord&)>& visit) {
  if (ring_ == nullptr) return;
  auto* control = static_cast<perf_event_mmap_page*>(ring_);
  const auto* data = static_cast<const std::byte*>(ring_) + kRingPage;
  const std::span words(reinterpret_cast<const std::uint64_t*>(data),
                        data_bytes_ / sizeof(std::uint64_t));
  const std::uint64_t head = std::atomic_ref(control->data_head).load(std::memory_order_acquire);
  std::uint64_t tail = control->data_tail;
  while (tail + sizeof(perf_event_header) <= head) {
    perf_event_header header;  // 8 bytes, aligned: never wraps
    std::memcpy(&header, data + tail % data_bytes_, sizeof(header));
    if (header.size < sizeof(header) || tail + header.size > head) break;
    if (header.type == PERF_RECORD_SAMPLE) {
      const std::size_t begin = (tail + sizeof(header)) % data_bytes_ / sizeof(std::uint64_t);
      visit(decode({words, begin, (header.size - sizeof(header)) / sizeof(std::uint64_t)}));
    }
    tail += header.size;
    // One by one: a burst goes on while its records are looked at, and needs the room.
    std::atomic_ref(control->data_tail).store(tail, std::memory_order_release);
  }
  // Behind a header that makes no sense nothing can be read.
  if (tail < head) std::atomic_ref(control->data_tail).store(head, std::memory_order_release);
}

}  // namespace memspy::attach
