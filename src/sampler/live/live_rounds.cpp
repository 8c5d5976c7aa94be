#include "sampler/live/live_rounds.h"

#include <algorithm>
#include <utility>

#include "base/duration.h"
#include "base/thread_cpu.h"
#include "sampler/live/live_heap.h"

namespace memspy::sampler {
namespace {

using namespace std::chrono_literals;
using attach::PerfWatch;
using cpython::BlockContent;

// A round must be longer than what it takes to begin one, and short enough for bursts not to have
// the same four watches for long.
constexpr std::chrono::nanoseconds kRound = 20ms, kLongestRound = 400ms;
constexpr std::chrono::nanoseconds kLongestRest = 1000ms;
constexpr std::chrono::nanoseconds kSettling = 20ms;  // what lives no longer is temporary
constexpr std::chrono::nanoseconds kRest = 50ms;      // where there is no heap
// To set a watch and take it away interrupts a thread that runs some ten times, which costs it as
// much as so many of the exceptions (measured: 60 us and 16 us).
constexpr double kExceptionsPerWatch = 4;
constexpr double kBirthsAtOnce = 30;  // a pool that starts its workers
constexpr std::size_t kReviewed = 3;  // blocks of the book, at each begin or end of a round
constexpr auto kSearchPause = 500ms, kFailedSearchPause = 60000ms;
constexpr std::size_t kMaxWatchedThreads = 64;
constexpr auto kLastSweepTime = 5s;  // then what the sweep before has seen stands

}  // namespace

// Everything about one process' heap; its watches are those of all its threads.
struct LiveRounds::Heap final : WatchPort {
  Heap(LiveRounds& of, Target& the_target, std::unique_ptr<LiveHeap> found, std::uint64_t seed,
       SteadyTime now)
      : rounds(of),
        target(the_target),
        heap(std::move(found)),
        odds(seed),
        purse(0, double{kWatches} * (LiveWatcher::kMostStops + of.watch_fee_), now, of.watch_fee_),
        births(0, kBirthsAtOnce, now),
        content(target.interpreter()->layout(), target.memory()),
        watcher(heap->frontier(), content, odds, book, purse, *this) {
    book.set_least_age(of.context_.options.least_age);
  }

  bool arm(std::size_t slot, RemoteAddr address) override {
    disarm(slot);
    (void)take_untold(slot);
    addresses[slot] = address;
    rounds.source_.expect(target, address);
    std::size_t armed = 0;
    for (auto& [tid, thread] : rounds.threads_) {
      if (thread->target != &target) continue;
      if (armed == kMaxWatchedThreads) break;
      if (!rounds.open_watches(*thread, false) || slot >= thread->watches.size()) continue;
      if (thread->watches[slot].arm(address)) ++armed;
    }
    return armed > 0;
  }
  void disarm(std::size_t slot) override {
    if (!addresses[slot]) return;
    each_watch(slot, [](PerfWatch& watch) { watch.disarm(); });
    rounds.source_.forget(target, std::exchange(addresses[slot], RemoteAddr{}));
  }
  std::uint64_t take_untold(std::size_t slot) override {
    std::uint64_t count = 0;
    each_watch(slot, [&](PerfWatch& watch) { count += watch.take_count(); });
    return count - std::min(count, std::exchange(told[slot], 0));
  }
  bool watching() const {
    for (std::size_t slot = 0; slot < kWatches; ++slot)
      if (watcher.watched(slot)) return true;
    return false;
  }
  void arm_newborn(WatchedThread& thread) {
    for (std::size_t slot = 0; slot < kWatches; ++slot) {
      const auto address = watcher.watched(slot);
      if (!address) continue;
      if (!rounds.open_watches(thread, true)) return;
      if (slot < thread.watches.size()) thread.watches[slot].arm(*address);
    }
  }
  // Of all threads: which of them were armed depends on who was there then.
  template <typename Visit>
  void each_watch(std::size_t slot, Visit&& visit) {
    for (auto& [tid, thread] : rounds.threads_) {
      if (thread->target == &target && slot < thread->watches.size()) visit(thread->watches[slot]);
    }
  }

  LiveRounds& rounds;
  Target& target;
  std::unique_ptr<LiveHeap> heap;
  LiveOdds odds;
  LiveBook book;
  StopPurse purse, births;
  BlockContent content;
  LiveWatcher watcher;
  std::array<RemoteAddr, kWatches> addresses{};  // 0: not armed
  std::array<std::uint64_t, kWatches> told{};
  SteadyTime next_round{};
  std::chrono::nanoseconds price{};  // of the begin or the end of a round, moving average
  bool rests = false;
};

LiveRounds::LiveRounds(EngineContext& context, Roster& roster, StackInterner& interner,
                       WatchSource& source, const LivePrices& prices)
    : context_(context),
      roster_(roster),
      interner_(interner),
      source_(source),
      prices_(prices),
      random_(std::random_device{}()) {
  const double exception = to_seconds(attach::price_of_watched_write());
  write_price_ = exception + prices_.write;
  watch_fee_ = kExceptionsPerWatch * exception / write_price_;
}
LiveRounds::~LiveRounds() = default;

LiveRounds::Heap* LiveRounds::heap_of(const Target& target) const {
  const auto it = heaps_.find(target.index().value);
  return it == heaps_.end() ? nullptr : it->second.get();
}

// --- threads ---

WatchedThread& LiveRounds::add_thread(Target& target, Tid tid) {
  end_thread(tid);  // whose number it has
  auto thread = std::make_unique<WatchedThread>();
  thread->tid = tid;
  thread->target = &target;
  thread->index = roster_.thread(target, tid);
  return *(threads_[tid] = std::move(thread));
}

void LiveRounds::welcome(WatchedThread& thread) {
  Heap* heap = heap_of(*thread.target);
  if (heap == nullptr || !heap->watching() || watched_threads(*thread.target) >= kMaxWatchedThreads)
    return;
  if (heap->births.take(1, std::chrono::steady_clock::now())) heap->arm_newborn(thread);
}

// A heap is there for as long as a thread of its process is.
bool LiveRounds::has_threads(const Target& target) const {
  return std::any_of(threads_.begin(), threads_.end(),
                     [&](const auto& entry) { return entry.second->target == &target; });
}

void LiveRounds::end_thread(Tid tid) {
  const auto it = threads_.find(tid);
  if (it == threads_.end()) return;
  const Target& target = *it->second->target;
  threads_.erase(it);
  if (has_threads(target)) return;
  heaps_.erase(target.index().value);
  next_search_.erase(target.index().value);
}

WatchedThread* LiveRounds::find(Tid tid) {
  const auto it = threads_.find(tid);
  return it == threads_.end() ? nullptr : it->second.get();
}

// When a round needs them.
bool LiveRounds::open_watches(WatchedThread& thread, bool newborn) {
  if (thread.watches.empty() && !thread.refused) source_.open(thread, newborn);
  return !thread.watches.empty();
}

std::size_t LiveRounds::watched_threads(const Target& target) const {
  return static_cast<std::size_t>(
      std::count_if(threads_.begin(), threads_.end(), [&](const auto& entry) {
        return entry.second->target == &target && !entry.second->watches.empty();
      }));
}

// --- writes ---

std::optional<RemoteAddr> LiveRounds::watched_block(const Target& target, std::size_t slot) const {
  const Heap* heap = heap_of(target);
  const auto address = heap != nullptr ? heap->watcher.watched(slot) : std::nullopt;
  if (!address) return std::nullopt;
  return *address - BlockContent::kMark;
}

BlockContent* LiveRounds::content_of(const Target& target) {
  Heap* heap = heap_of(target);
  return heap != nullptr ? &heap->content : nullptr;
}

void LiveRounds::note_told(const Target& target, std::size_t slot) {
  if (Heap* heap = heap_of(target)) ++heap->told[slot % kWatches];
}

void LiveRounds::on_write(const Target& target, std::size_t slot, BlockContent::Write write,
                          bool collecting, const std::optional<LiveOwner>& owner, SteadyTime time) {
  if (Heap* heap = heap_of(target)) heap->watcher.on_write(slot, write, collecting, owner, time);
}

// --- rounds ---

void LiveRounds::look_for_heap(Target& target, SteadyTime now) {
  if (!target.has_interpreter() || heaps_.contains(target.index().value) || !has_threads(target))
    return;
  SteadyTime& next = next_search_[target.index().value];
  if (now < next) return;
  const bool first = next == SteadyTime{};
  next = now + kSearchPause;
  auto found = LiveHeap::open(context_.proc, target);
  if (found.has_value()) {
    heaps_[target.index().value] =
        std::make_unique<Heap>(*this, target, std::move(found).value(), random_(), now);
  } else if (!first) {
    note_gap(context_, target.index(),
             "only what lies outside of pymalloc is seen: " + describe(found.error()));
    next = now + kFailedSearchPause;
  }
}

SteadyTime LiveRounds::work(SteadyTime now) {
  for (const auto& [pid, target] : roster_.processes()) look_for_heap(*target, now);
  SteadyTime next = now + kRest;
  for (auto& [index, heap] : heaps_) {
    advance(*heap, now);
    next = heap->heap->sweeping() ? now : std::min(next, heap->next_round);
  }
  return next;
}

void LiveRounds::advance(Heap& heap, SteadyTime now) {
  const double budget =
      context_.options.budget_percent / 100 * context_.thrift.load(std::memory_order_relaxed);
  heap.purse.set_rate(budget * prices_.writes_share / write_price_);
  heap.births.set_rate(budget * prices_.births_share / prices_.birth);
  if (heap.heap->glance(now)) heap.book.count_collections(heap.heap->collections());
  if (now >= heap.next_round) begin_round(heap, budget);
  if (heap.heap->advance(now, budget * prices_.sweeps_share)) publish(heap);
}

// Or ends one, or does what else is due.
void LiveRounds::begin_round(Heap& heap, double budget) {
  // Of the round's begin, of its end, and of where it is judged unless the next one begins there.
  const auto earned =
      earned_by((heap.rests ? 3 : 2) * heap.price, budget * prices_.rounds_share) - kSettling;
  const auto length = std::clamp<std::chrono::nanoseconds>(earned, kRound, kLongestRound);
  std::uniform_real_distribution<double> jitter(0.75, 1.25);
  const std::chrono::nanoseconds round(
      static_cast<std::int64_t>(jitter(random_) * static_cast<double>(length.count())));
  const auto rest = std::clamp<std::chrono::nanoseconds>(earned - length, 0ns, kLongestRest);
  heap.rests = rest > 0ns;
  heap.watcher.set_round(round, kSettling, rest);
  const auto begin = thread_cpu();
  heap.heap->tell(heap.odds, round);
  heap.next_round = heap.watcher.advance(std::chrono::steady_clock::now());
  heap.watcher.review(kReviewed, std::chrono::steady_clock::now());
  const auto price = thread_cpu() - begin;
  heap.price = heap.price == 0ns ? price : (7 * heap.price + price) / 8;
}

void LiveRounds::publish(Heap& heap) {
  LiveProfiled event;
  event.process = heap.target.index();
  const auto now = std::chrono::steady_clock::now();
  const LiveChange change{heap.heap->growth(), heap.heap->start()};
  heap.book.note_pass(now, change.growth);
  LiveProfile profile = heap.book.profile(change, now);
  profile.counts = heap.watcher.counts();
  profile.temporaries = heap.watcher.temporaries().counts();
  event.profile = std::make_shared<const LiveProfile>(std::move(profile));
  event.pymalloc = heap.heap->state();
  for (const cpython::Arena& arena : heap.heap->arenas())
    event.arenas.emplace_back(arena.start, arena.bytes);
  std::sort(event.arenas.begin(), event.arenas.end());
  event.pages = interner_.marker("[pymalloc arena]");
  context_.queue.push(std::move(event));
}

void LiveRounds::cease_watching() {
  source_.catch_up();
  for (auto& [index, heap] : heaps_) heap->watcher.cease();
}

// Threads may end while it lasts, and a heap with the last of them.
void LiveRounds::look_last() {
  std::vector<std::uint32_t> indexes;
  for (auto& [index, heap] : heaps_) indexes.push_back(index);
  for (const std::uint32_t index : indexes) {
    const auto there = [&] { return heaps_.contains(index); };
    if (there()) heaps_.at(index)->heap->sweep_anew();
    const auto deadline = std::chrono::steady_clock::now() + kLastSweepTime;
    while (there() && heaps_.at(index)->heap->sweeping() &&
           std::chrono::steady_clock::now() < deadline) {
      (void)heaps_.at(index)->heap->advance(std::chrono::steady_clock::now(), 1);
      source_.catch_up();  // nobody waits for the end of a sweep
    }
    if (!there()) continue;
    Heap& heap = *heaps_.at(index);
    heap.book.count_collections(heap.heap->collections());
    heap.watcher.review_all(std::chrono::steady_clock::now());
    publish(heap);
  }
}

}  // namespace memspy::sampler
