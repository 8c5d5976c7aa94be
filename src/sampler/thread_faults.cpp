#include "sampler/thread_faults.h"

#include <algorithm>
#include <utility>

namespace memspy::sampler {
namespace {

constexpr std::size_t kMaxWaiting = 1024, kMaxWaitingInAll = 4096;  // 2 to 16 KiB each
constexpr std::size_t kMaxPages = 4096;                             // of one of them
constexpr std::size_t kMaxLooks = 32;  // at records that wait, for each stack read beside
constexpr std::size_t kMaxUnfound = 4096;
constexpr int kMaxSearches = 16;  // at a time; each reads some pages of the target
// Counts and records are taken one after the other, while the thread runs on.
constexpr std::uint64_t kSkew = 64;

bool same_words(const attach::FaultRecord& a, const attach::FaultRecord& b) {
  return a.code == b.code && a.stack == b.stack && a.words == b.words;
}

}  // namespace

ThreadFaults::ThreadFaults(FaultOutlet& outlet, FaultPlaces& places, ProcessIndex process,
                           ThreadIndex thread, InternRecord intern_record)
    : outlet_(outlet),
      process_(process),
      thread_(thread),
      intern_record_(std::move(intern_record)),
      matcher_(places,
               intern_record_ ? FaultMatcher::Distinct::kPlaces : FaultMatcher::Distinct::kLines) {}

ThreadFaults::~ThreadFaults() { outlet_.waiting -= waiting_.size(); }

InternedStack ThreadFaults::intern(const attach::FaultRecord& record,
                                   const cpython::RawStack& stack, bool callers_known) const {
  if (intern_record_) return intern_record_(record, &stack, callers_known);
  return outlet_.interner.python_stack(process_, *reader_, stack, callers_known);
}

std::optional<StackId> ThreadFaults::native_stack(Mode mode, const attach::FaultRecord& record) {
  if (!native_) return std::nullopt;
  return intern_record_ ? intern_record_(record, nullptr, true).stack : side(mode).stack;
}

// Of those without a record.
void ThreadFaults::tell_owed() {
  const std::int64_t now =
      std::max<std::int64_t>(user_.owed, 0) + std::max<std::int64_t>(kernel_.owed, 0);
  const std::int64_t before = std::exchange(told_owed_, now);
  if (now != before) outlet_.queue.push(FaultsAwaited{process_, kNoChunk, now - before});
}

// Records that begin to wait, or wait no longer.
void ThreadFaults::tell_waiting(const Unknown& unknown, bool begin) {
  for (const Page& page : unknown.pages) {
    const auto faults = static_cast<std::int64_t>(page.faults);
    outlet_.queue.push(FaultsAwaited{process_, chunk_of(page.address), begin ? faults : -faults});
  }
}

bool ThreadFaults::learn(const attach::FaultRecord& record, const cpython::RawStack& stack,
                         StackId id, FaultEvidence evidence) {
  return matcher_.learn(record, stack_base_, stack, id, evidence);
}

void ThreadFaults::learn_waiting(const cpython::RawStack& stack, StackId id) {
  // The newest are the likeliest to be where the thread is now; each costs a look at all its words.
  std::size_t looks = 0;
  for (auto it = waiting_.rbegin(); it != waiting_.rend() && looks < kMaxLooks; ++it, ++looks)
    guess(it->record, stack, id, FaultEvidence::kWaited);
  retry();
  tell_owed();
}

bool ThreadFaults::guess(const attach::FaultRecord& record, const cpython::RawStack& stack,
                         StackId id, FaultEvidence evidence) {
  const auto place = std::pair(record.code, record.stack);
  if (std::find(guessed_.begin(), guessed_.end(), place) != guessed_.end()) return true;
  if (!learn(record, stack, id, evidence)) return false;
  guessed_.push_back(place);
  return true;
}

std::optional<StackId> ThreadFaults::match(const attach::FaultRecord& record) {
  if (reader_ == nullptr) return std::nullopt;
  return matcher_.match(record, stack_base_, intern_);
}

void ThreadFaults::meet_strangers() {
  if (reader_ == nullptr) return;
  int searches = 0;
  // What is known only grows: what named no function says no more until it does.
  const std::uint64_t known = matcher_.generation() + 1;
  for (Unknown& unknown : waiting_) {
    if (std::exchange(unknown.met, known) == known) continue;
    const auto instruction = matcher_.stranger(unknown.record, stack_base_);
    if (!instruction || unfound_.contains(instruction->value)) continue;
    cpython::RawStack function;
    if (reader_->find_function(*instruction, function)) {
      matcher_.introduce(std::move(function));
    } else {
      if (unfound_.size() >= kMaxUnfound) unfound_.clear();
      unfound_.insert(instruction->value);
    }
    if (++searches == kMaxSearches) break;
  }
  if (searches > 0) retry();
}

std::optional<StackId> ThreadFaults::guess_stack(const attach::FaultRecord& record) {
  if (reader_ == nullptr) return std::nullopt;
  return matcher_.guess(record, stack_base_, intern_);
}

void ThreadFaults::add(Mode mode, const attach::FaultRecord& record) {
  Side& to = side(mode);
  ++to.records;
  const RemoteAddr before = std::exchange(newest_, record.address);
  huge_pages_ |= is_next_chunk(before, record.address);
  if (const auto stack = match(record)) {
    to.known.push_back({*stack, record.address});
  } else if (const auto native = native_stack(mode, record)) {
    to.known.push_back({*native, record.address});
  } else {
    const bool again = !to.unknown.empty() && same_words(to.unknown.back().record, record);
    if (!again) to.unknown.push_back({mode, record, {}, {}});
    to.unknown.back().pages.push_back({record.address, 0});
    to.newest_known = false;
    return;
  }
  to.newest_known = true;
}

void ThreadFaults::settle(Mode mode, std::uint64_t faults, std::uint64_t period) {
  Side& from = side(mode);
  from.owed += static_cast<std::int64_t>(faults);
  if (from.records == 0 && period != kNoTrail) {
    retry();
    return tell_owed();
  }
  const auto owed = static_cast<std::uint64_t>(std::max<std::int64_t>(from.owed, 0));
  const std::uint64_t slack = period <= 1 ? kSkew : period;
  const std::uint64_t told = from.records * period;
  std::uint64_t charged = owed, lost = 0;
  if (period != kNoTrail && owed > told + slack) lost = owed - told;
  if (period != kNoTrail && owed >= told && lost == 0) charged = told;
  if (period == 1 && owed < told && told - owed < kSkew) charged = told;  // counted soon
  from.owed -= static_cast<std::int64_t>(charged);
  share(mode, charged - lost, lost);
  from.known.clear();
  from.unknown.clear();
  from.records = 0;
  retry();
  tell_owed();
}

// Rounded so that what is lost at one record is found at the next.
void ThreadFaults::share(Mode mode, std::uint64_t faults, std::uint64_t lost) {
  Side& from = side(mode);
  const bool in_kernel = mode == Mode::kKernel;
  if (from.records == 0) {
    if (from.stack)
      push(*from.stack, in_kernel ? RemoteAddr{} : std::exchange(address_, {}), faults, in_kernel,
           in_kernel);
    return;
  }
  if (!in_kernel) address_ = {};  // its fault has a record
  std::uint64_t seen = 0, given = 0;
  const auto next = [&](bool newest) {
    const std::uint64_t upto = faults * ++seen / from.records;
    return upto - std::exchange(given, upto) + (newest ? std::exchange(lost, 0) : 0);
  };
  for (const Located& located : from.known) {
    const bool newest = from.newest_known && &located == &from.known.back();
    push(located.stack, located.address, next(newest), in_kernel, false);
  }
  for (Unknown& unknown : from.unknown) {
    const bool last = !from.newest_known && &unknown == &from.unknown.back();
    for (Page& page : unknown.pages) page.faults = next(last && &page == &unknown.pages.back());
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
  if (unknown.mode == Mode::kUser) unknown_pages_ += unknown.pages.size();
  tell_waiting(unknown, true);
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
  tell_waiting(unknown, false);
  if (const auto stack = guess_stack(unknown.record)) return push_pages(unknown, *stack, false);
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
    if (!stack) return false;
    tell_waiting(unknown, false);
    push_pages(unknown, *stack, false);
    return true;
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
