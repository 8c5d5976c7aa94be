#include "sampler/thread_faults.h"

#include <algorithm>
#include <utility>

namespace memspy::sampler {
namespace {

constexpr std::size_t kMaxWaiting = 1024, kMaxWaitingInAll = 4096;  // 2 to 3 KiB each
constexpr std::size_t kMaxPages = 4096;                             // of one of them
constexpr std::size_t kMuchUnknown = 16;
// Counts and records are taken one after the other, while the thread runs on.
constexpr std::int64_t kSkew = 64;

bool same_words(const attach::FaultRecord& a, const attach::FaultRecord& b) {
  return a.code == b.code && a.stack == b.stack && a.words == b.words;
}

}  // namespace

bool ThreadFaults::learn(const attach::FaultRecord& record, const cpython::RawStack& stack,
                         StackId id, FaultEvidence evidence) {
  return matcher_.learn(record, stack_base_, stack, id, evidence);
}

void ThreadFaults::learn_waiting(const cpython::RawStack& stack, StackId id) {
  for (const Unknown& unknown : waiting_) guess(unknown.record, stack, id);
  retry();
}

bool ThreadFaults::guess(const attach::FaultRecord& record, const cpython::RawStack& stack,
                         StackId id) {
  const auto place = std::pair(record.code, record.stack);
  if (std::find(guessed_.begin(), guessed_.end(), place) != guessed_.end()) return true;
  if (!learn(record, stack, id, FaultEvidence::kMaybe)) return false;
  guessed_.push_back(place);
  return true;
}

std::optional<StackId> ThreadFaults::match(const attach::FaultRecord& record) {
  if (reader_ == nullptr) return std::nullopt;
  return matcher_.match(record, stack_base_, [this](const cpython::RawStack& stack) {
    return outlet_.interner.python_stack(process_, *reader_, stack);
  });
}

void ThreadFaults::add(Mode mode, const attach::FaultRecord& record) {
  Side& to = side(mode);
  ++to.records;
  if (const auto stack = match(record)) {
    to.known.push_back({*stack, record.address});
  } else if (native_ && to.stack) {
    to.known.push_back({*to.stack, record.address});
  } else {
    const bool again = !to.unknown.empty() && same_words(to.unknown.back().record, record);
    if (!again) to.unknown.push_back({mode, record, {}, {}});
    to.unknown.back().pages.push_back({record.address, 0});
  }
}

void ThreadFaults::settle(Mode mode, std::uint64_t faults, bool every_fault) {
  Side& from = side(mode);
  const auto records = static_cast<std::int64_t>(from.records);
  from.owed += static_cast<std::int64_t>(faults);
  const bool all_there = every_fault && records > 0 && std::abs(from.owed - records) < kSkew;
  const std::int64_t charged = all_there ? records : std::max<std::int64_t>(from.owed, 0);
  from.owed -= charged;
  share(mode, static_cast<std::uint64_t>(charged));
  from.known.clear();
  from.unknown.clear();
  from.records = 0;
  retry();
}

// Rounded so that what is lost at one record is found at the next.
void ThreadFaults::share(Mode mode, std::uint64_t faults) {
  Side& from = side(mode);
  const bool in_kernel = mode == Mode::kKernel;
  if (from.records == 0) {
    if (from.stack)
      push(*from.stack, in_kernel ? RemoteAddr{} : std::exchange(address_, {}), faults, in_kernel,
           in_kernel);
    return;
  }
  std::uint64_t seen = 0, given = 0;
  const auto next = [&] {
    const std::uint64_t upto = faults * ++seen / from.records;
    return upto - std::exchange(given, upto);
  };
  for (const Located& located : from.known)
    push(located.stack, located.address, next(), in_kernel, false);
  for (Unknown& unknown : from.unknown) {
    for (Page& page : unknown.pages) page.faults = next();
    unknown.stack = from.stack;
    wait(std::move(unknown));
  }
}

void ThreadFaults::push(StackId stack, RemoteAddr address, std::uint64_t faults, bool in_kernel,
                        bool late) {
  if (faults == 0) return;
  outlet_.samples.fetch_add(1, std::memory_order_relaxed);
  if (late) outlet_.late.fetch_add(1, std::memory_order_relaxed);
  outlet_.queue.push(FaultSample{process_, thread_, stack, address, faults, in_kernel, late});
}

void ThreadFaults::push_pages(const Unknown& unknown, StackId stack, bool late) {
  for (const Page& page : unknown.pages)
    push(stack, page.address, page.faults, unknown.mode == Mode::kKernel, late);
}

void ThreadFaults::wait(Unknown&& unknown) {
  if (!waiting_.empty() && same_words(waiting_.back().record, unknown.record) &&
      waiting_.back().pages.size() < kMaxPages) {
    auto& pages = waiting_.back().pages;
    pages.insert(pages.end(), unknown.pages.begin(), unknown.pages.end());
    return;
  }
  const bool full = waiting_.size() >= kMaxWaiting || outlet_.waiting >= kMaxWaitingInAll;
  if (full && waiting_.empty()) return give_up(unknown);
  if (full) {
    give_up(waiting_.front());
    waiting_.pop_front();
    --outlet_.waiting;
  }
  waiting_.push_back(std::move(unknown));
  ++outlet_.waiting;
}

void ThreadFaults::give_up(const Unknown& unknown) {
  if (unknown.stack) push_pages(unknown, *unknown.stack, unknown.mode == Mode::kKernel);
}

void ThreadFaults::give_up() {
  for (const Unknown& unknown : waiting_) give_up(unknown);
  outlet_.waiting -= waiting_.size();
  waiting_.clear();
}

void ThreadFaults::retry() {
  if (tried_ == matcher_.generation()) return;
  tried_ = matcher_.generation();
  outlet_.waiting -= std::erase_if(waiting_, [this](const Unknown& unknown) {
    const auto stack = match(unknown.record);
    if (stack) push_pages(unknown, *stack, false);
    return stack.has_value();
  });
}

bool ThreadFaults::much_unknown() const {
  std::size_t pages = 0;
  for (const Unknown& unknown : waiting_) {
    pages += unknown.pages.size();
    if (pages > kMuchUnknown) return true;
  }
  return false;
}

}  // namespace memspy::sampler
