#include "sampler/thread_faults.h"

#include <algorithm>
#include <utility>

namespace memspy::sampler {
namespace {

constexpr std::size_t kMaxWaiting = 1024, kMaxWaitingInAll = 2048;  // 2 to 3 KiB each
constexpr std::size_t kMuchUnknown = 16;
// Counts and records are taken one after the other, while the thread runs on.
constexpr std::int64_t kSkew = 64;

}  // namespace

bool ThreadFaults::learn(const attach::FaultRecord& record, const cpython::RawStack& stack, StackId id,
                         FaultEvidence evidence) {
  return matcher_.learn(record, stack_base_, stack, id, evidence);
}

std::optional<StackId> ThreadFaults::match(const attach::FaultRecord& record) {
  if (reader_ == nullptr) return std::nullopt;
  return matcher_.match(record, stack_base_, [this](const cpython::RawStack& stack) {
    return outlet_.interner.python_stack(process_, *reader_, stack);
  });
}

void ThreadFaults::add(const attach::FaultRecord& record) {
  Side& to = side(record.in_kernel ? Mode::kKernel : Mode::kUser);
  if (const auto stack = match(record)) {
    to.known.push_back({*stack, record.address});
  } else if (reader_ == nullptr && to.stack) {  // no Python: there is nothing to learn
    to.known.push_back({*to.stack, record.address});
  } else {
    to.unknown.push_back(record);
  }
}

void ThreadFaults::settle(Mode mode, std::uint64_t faults, bool every_fault) {
  Side& from = side(mode);
  const auto records = static_cast<std::int64_t>(from.known.size() + from.unknown.size());
  from.owed += static_cast<std::int64_t>(faults);
  if (records == 0 && every_fault && from.owed < kSkew && faults == 0) return;
  const bool all_there = every_fault && records > 0 && std::abs(from.owed - records) < kSkew;
  const std::int64_t charged = all_there ? records : std::max<std::int64_t>(from.owed, 0);
  from.owed -= charged;
  share(mode, static_cast<std::uint64_t>(charged));
  from.known.clear();
  from.unknown.clear();
  retry();
}

// Rounded so that what is lost at one record is found at the next.
void ThreadFaults::share(Mode mode, std::uint64_t faults) {
  Side& from = side(mode);
  const bool in_kernel = mode == Mode::kKernel;
  const std::uint64_t records = from.known.size() + from.unknown.size();
  if (records == 0) {
    if (from.stack) push(*from.stack, in_kernel ? RemoteAddr{} : address_, faults, in_kernel, in_kernel);
    return;
  }
  std::uint64_t seen = 0, given = 0;
  const auto next = [&] {
    const std::uint64_t upto = faults * ++seen / records;
    return upto - std::exchange(given, upto);
  };
  for (const Located& located : from.known) push(located.stack, located.address, next(), in_kernel, false);
  for (attach::FaultRecord& record : from.unknown) wait({std::move(record), next(), from.stack});
}

void ThreadFaults::push(StackId stack, RemoteAddr address, std::uint64_t faults, bool in_kernel, bool late) {
  if (faults == 0) return;
  if (late) outlet_.late.fetch_add(1, std::memory_order_relaxed);
  outlet_.queue.push(FaultSample{process_, thread_, stack, address, faults, in_kernel, late});
}

void ThreadFaults::wait(Waiting waiting) {
  if (waiting_.size() >= kMaxWaiting) {
    give_up(waiting_.front());
    waiting_.erase(waiting_.begin());
    --outlet_.waiting;
  }
  if (outlet_.waiting >= kMaxWaitingInAll) return give_up(waiting);
  waiting_.push_back(std::move(waiting));
  ++outlet_.waiting;
}

void ThreadFaults::give_up(const Waiting& waiting) {
  const bool in_kernel = waiting.record.in_kernel;
  if (waiting.stack) push(*waiting.stack, waiting.record.address, waiting.faults, in_kernel, in_kernel);
}

void ThreadFaults::give_up() {
  for (const Waiting& waiting : waiting_) give_up(waiting);
  outlet_.waiting -= waiting_.size();
  waiting_.clear();
}

void ThreadFaults::retry() {
  if (tried_ == matcher_.generation()) return;
  tried_ = matcher_.generation();
  outlet_.waiting -= std::erase_if(waiting_, [this](const Waiting& waiting) {
    const auto stack = match(waiting.record);
    if (stack) push(*stack, waiting.record.address, waiting.faults, waiting.record.in_kernel, false);
    return stack.has_value();
  });
}

bool ThreadFaults::much_unknown() const { return waiting_.size() > kMuchUnknown; }

}  // namespace memspy::sampler
