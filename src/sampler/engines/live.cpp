#include "sampler/engines/live.h"

#include <signal.h>

#include <algorithm>
#include <utility>

#include "base/duration.h"
#include "sampler/thread_cpu.h"

namespace memspy::sampler {
namespace {

using namespace std::chrono_literals;
using attach::PerfWatch;
using cpython::BlockContent;

// A round must be longer than what it takes to begin one, and short enough for bursts not to have
// the same four watches for long.
constexpr std::chrono::nanoseconds kRound = 20ms, kLongestRound = 400ms;
constexpr std::chrono::nanoseconds kSettling = 20ms;  // what lives no longer is temporary
constexpr double kStopPrice =
    120e-6;  // seconds: the target is held and woken, memspy reads a stack
constexpr double kBirthPrice = 100e-6;  // the same of a thread that is watched from its birth on
// Of the budget: for page faults; for stops at watches, for sweeps, for the begins and ends of
// rounds, and for births.
constexpr double kFaultShare = 0.3;
constexpr double kStopShare = 0.35, kSweepShare = 0.1, kRoundShare = 0.15, kBirthShare = 0.1;
constexpr double kBirthsAtOnce = 30;  // a pool that starts its workers
constexpr std::size_t kReviewed = 5;  // blocks of the book, at each begin or end of a round
constexpr auto kSearchPause = 500ms;
constexpr auto kSignalCheckPause = 2s;  // a target may install a handler at any time
constexpr std::size_t kMaxWatchedThreads = 64;
constexpr auto kLastSweepTime = 5s;  // then what the sweep before has seen stands

}  // namespace

// Everything about one process' heap; its watches are those of all its threads.
struct LiveEngine::Heap final : WatchPort {
  Heap(LiveEngine& of, Target& the_target, std::unique_ptr<LiveHeap> found, std::uint64_t seed,
       SteadyTime now)
      : engine(of),
        target(the_target),
        heap(std::move(found)),
        odds(seed),
        purse(0, double{kWatches} * LiveWatcher::kMostStops, now),
        births(0, kBirthsAtOnce, now),
        content(target.interpreter()->layout(), target.memory()),
        watcher(heap->frontier(), content, odds, book, purse, *this) {}

  bool arm(std::size_t slot, RemoteAddr address) override {
    std::size_t armed = 0;
    for (auto& [tid, thread] : engine.threads_) {
      if (thread->target != &target) continue;
      if (armed == kMaxWatchedThreads) break;
      if (!engine.open_watches(*thread) || slot >= thread->watches.size()) continue;
      (void)thread->watches[slot].take_count();
      if (thread->watches[slot].arm(address)) ++armed;
    }
    return armed > 0;
  }
  void disarm(std::size_t slot) override {
    each_watch(slot, [](PerfWatch& watch) { watch.disarm(); });
  }
  std::uint64_t take_untold(std::size_t slot) override {
    std::uint64_t count = 0;
    each_watch(slot, [&](PerfWatch& watch) { count += watch.take_count(); });
    return count;
  }
  bool watching() const {
    for (std::size_t slot = 0; slot < kWatches; ++slot)
      if (watcher.watched(slot)) return true;
    return false;
  }
  // What the others are watched for, of a thread that has just begun and stands still.
  void arm_newborn(Thread& thread) {
    for (std::size_t slot = 0; slot < kWatches; ++slot) {
      const auto address = watcher.watched(slot);
      if (!address) continue;
      if (thread.watches.empty() && !engine.open_watches(thread, /*newborn=*/true)) return;
      if (slot < thread.watches.size()) thread.watches[slot].arm(*address);
    }
  }
  // Of all threads: which of them were armed depends on who was there then.
  template <typename Visit>
  void each_watch(std::size_t slot, Visit&& visit) {
    for (auto& [tid, thread] : engine.threads_) {
      if (thread->target == &target && slot < thread->watches.size()) visit(thread->watches[slot]);
    }
  }

  LiveEngine& engine;
  Target& target;
  std::unique_ptr<LiveHeap> heap;
  LiveOdds odds;
  LiveBook book;
  StopPurse purse, births;
  BlockContent content;
  LiveWatcher watcher;
  SteadyTime next_round{};
  std::chrono::nanoseconds price{};  // of a round, moving average
};

LiveEngine::LiveEngine(EngineContext& context)
    : PageFaultEngine(context, kFaultShare), random_(std::random_device{}()) {}
LiveEngine::~LiveEngine() = default;

Result<Unit> LiveEngine::probe(const procfs::ProcDir& proc, Pid pid) {
  MEMSPY_CHECK(PageFaultEngine::probe(proc, pid));
  auto watch = PerfWatch::open(Tid{pid.value}, SIGURG);
  if (watch.has_value()) return Unit{};
  Error error = std::move(watch).error();
  error.why = "--mode live watches memory with hardware watchpoints, as perf events: " + error.why;
  error.hint =
      "they may be taken by a debugger, or this (virtual) machine has none; --mode growth does not "
      "need them";
  return error;
}

LiveEngine::Heap* LiveEngine::heap_of(const Target& target) {
  const auto it = heaps_.find(target.index().value);
  return it == heaps_.end() ? nullptr : it->second.get();
}

void LiveEngine::start_thread(Target& target, Tid tid, attach::ThreadOrigin origin) {
  PageFaultEngine::start_thread(target, tid, origin);
  auto thread = std::make_unique<Thread>();
  thread->tid = tid;
  thread->target = &target;
  thread->index = roster_.thread(target, tid);
  Thread& added = *(threads_[tid] = std::move(thread));
  if (!sampling() || origin != attach::ThreadOrigin::kCloned) return;  // from the next round on
  Heap* heap = heap_of(target);
  if (heap == nullptr || !heap->watching() || watched_threads(target) >= kMaxWatchedThreads) return;
  if (heap->births.take(1, std::chrono::steady_clock::now())) heap->arm_newborn(added);
}

void LiveEngine::end_thread(Tid tid) {
  PageFaultEngine::end_thread(tid);
  const auto it = threads_.find(tid);
  if (it == threads_.end()) return;
  if (pending_.thread == it->second.get()) pending_ = {};
  Target* target = it->second->target;
  threads_.erase(it);
  const auto of_it = [&](const auto& entry) { return entry.second->target == target; };
  if (std::any_of(threads_.begin(), threads_.end(), of_it)) return;
  heaps_.erase(target->index().value);
  next_search_.erase(target->index().value);
}

// Opened when a round needs them.
bool LiveEngine::open_watches(Thread& thread, bool newborn) {
  if (!thread.watches.empty() || thread.refused) return !thread.refused;
  const auto signal = choose_stop_signal(context_.proc, thread.target->pid(), thread.tid, newborn);
  if (!signal) return false;
  for (std::size_t i = 0; i < kWatches; ++i) {
    auto watch = PerfWatch::open(thread.tid, *signal);
    if (!watch.has_value()) break;  // a debugger has some of them: the rest will do
    thread.watches.push_back(std::move(watch).value());
  }
  thread.signal.use(*signal);
  thread.refused = thread.watches.empty();
  return !thread.refused;
}

std::size_t LiveEngine::watched_threads(const Target& target) const {
  return static_cast<std::size_t>(
      std::count_if(threads_.begin(), threads_.end(), [&](const auto& entry) {
        return entry.second->target == &target && !entry.second->watches.empty();
      }));
}

void LiveEngine::check_signals() {
  for (auto& [tid, thread] : threads_) {
    if (thread->watches.empty()) continue;
    const auto status = context_.proc.status(thread->target->pid(), tid);
    if (!status.has_value() || !thread->signal.outdated(*status, true)) continue;
    for (const PerfWatch& watch : thread->watches) thread->signal.retire(watch.fd());
    thread->watches.clear();
  }
}

// --- a watched block is written to: the thread stands still ---

bool LiveEngine::is_ours(const Thread& thread, const attach::SignalStop& stop) {
  return thread.signal.is_of(stop, -1) ||
         std::any_of(thread.watches.begin(), thread.watches.end(),
                     [&](const PerfWatch& watch) { return thread.signal.is_of(stop, watch.fd()); });
}

// One signal may stand for several events: all watches are asked, and where the signal is of none
// of them, the engine below.
bool LiveEngine::on_signal(Pid pid, Tid tid, const attach::SignalStop& stop) {
  const auto begin = std::chrono::steady_clock::now();
  pending_ = {};
  const auto it = threads_.find(tid);
  if (it == threads_.end()) return PageFaultEngine::on_signal(pid, tid, stop);
  Thread& thread = *it->second;
  Heap* heap = heap_of(*thread.target);
  if (heap != nullptr && !thread.watches.empty()) take_writes(thread, *heap);
  const bool ours = is_ours(thread, stop);
  if (!ours && pending_.writes.empty()) return PageFaultEngine::on_signal(pid, tid, stop);
  pending_.active = true;
  pending_.begin = begin;
  pending_.thread = &thread;
  if (!pending_.writes.empty()) read_stack(thread);
  if (ours) return true;
  pending_.faulted = PageFaultEngine::on_signal(pid, tid, stop);
  pending_.active = pending_.faulted;
  return pending_.faulted;
}

void LiveEngine::take_writes(Thread& thread, Heap& heap) {
  for (std::size_t i = 0; i < thread.watches.size(); ++i) {
    if (thread.watches[i].take_count() == 0) continue;
    const auto address = heap.watcher.watched(i);
    if (!address) continue;
    pending_.writes.emplace_back(i, heap.content.judge(*address - BlockContent::kMark));
  }
}

void LiveEngine::read_stack(Thread& thread) {
  if (context_.options.native)
    pending_.native = natives_.of(*thread.target).take(seizure_, thread.tid);
  auto* reader = thread.target->reader();
  const auto python = find_stopped(*thread.target, thread.tid);
  pending_.python = python.has_value();
  if (!python) return;
  pending_.readable =
      reader->capture(python->state, stack_, pending_.begin + context_.options.max_pause)
          .has_value();
}

void LiveEngine::on_resumed(Pid pid, Tid tid) {
  if (!pending_.active) return PageFaultEngine::on_resumed(pid, tid);
  const Pending stop = std::exchange(pending_, Pending{});
  const auto now = std::chrono::steady_clock::now();
  if (stop.faulted) {
    PageFaultEngine::on_resumed(pid, tid);
  } else {
    context_.counters.pauses.add(now - stop.begin);
  }
  Heap* heap = heap_of(*stop.thread->target);
  if (heap == nullptr || stop.writes.empty()) return;
  const auto owner = owner_of(stop);
  const bool collecting = stop.readable && stack_.collecting;
  for (const auto& [slot, write] : stop.writes)
    heap->watcher.on_write(slot, write, collecting, owner, now);
}

// nullopt: a Python thread whose stack did not hold together.
std::optional<LiveOwner> LiveEngine::owner_of(const Pending& stop) {
  auto& counters = context_.counters;
  if (stop.python && !stop.readable) {
    counters.rejected.fetch_add(1, std::memory_order_relaxed);
    return std::nullopt;
  }
  if (stop.python) counters.samples.fetch_add(1, std::memory_order_relaxed);
  Target& target = *stop.thread->target;
  const auto stack = [&]() -> StackId {
    if (stop.native) {
      const cpython::RawStack* python = stop.python ? &stack_ : nullptr;
      natives_.merge(target, python);
      return natives_.intern(target, stop.thread->tid, python);
    }
    if (!stop.python) return interner_.marker("[native thread]");
    if (stack_.frames.empty()) return interner_.marker("[outside Python]");
    return interner_.python_stack(target.index(), *target.reader(), stack_);
  };
  return LiveOwner{stop.thread->index, stack()};
}

// --- rounds ---

void LiveEngine::look_for_heap(Target& target) {
  if (!target.has_interpreter() || heaps_.contains(target.index().value)) return;
  const auto now = std::chrono::steady_clock::now();
  SteadyTime& next = next_search_[target.index().value];
  if (now < next) return;
  const bool first = next == SteadyTime{};
  next = now + kSearchPause;
  auto found = LiveHeap::open(context_.proc, target);
  if (found.has_value()) {
    heaps_[target.index().value] =
        std::make_unique<Heap>(*this, target, std::move(found).value(), random_(), now);
  } else if (!first) {
    note_gap(target.index(),
             "only what lies outside of pymalloc is seen: " + describe(found.error()));
    next = now + 60s;
  }
}

void LiveEngine::work() {
  PageFaultEngine::work();
  const auto now = std::chrono::steady_clock::now();
  if (now >= next_signal_check_) {
    next_signal_check_ = now + kSignalCheckPause;
    check_signals();
  }
  for (const auto& [pid, target] : roster_.processes()) look_for_heap(*target);
  next_round_ = now + 50ms;
  for (auto& [index, heap] : heaps_) {
    advance(*heap, now);
    next_round_ = std::min(next_round_, heap->next_round);
    if (heap->heap->sweeping()) next_round_ = now;
  }
}

void LiveEngine::advance(Heap& heap, SteadyTime now) {
  const double budget = context_.options.budget_percent / 100;
  const double thrift = context_.thrift.load(std::memory_order_relaxed);
  heap.purse.set_rate(budget * thrift * kStopShare / kStopPrice);
  heap.births.set_rate(budget * thrift * kBirthShare / kBirthPrice);
  if (now >= heap.next_round) {
    const auto least = earned_by(2 * heap.price, budget * thrift * kRoundShare) - kSettling;
    const auto length = std::clamp<std::chrono::nanoseconds>(least, kRound, kLongestRound);
    std::uniform_real_distribution<double> jitter(0.75, 1.25);
    heap.watcher.set_round(std::chrono::nanoseconds(static_cast<std::int64_t>(
                               jitter(random_) * static_cast<double>(length.count()))),
                           kSettling);
    const auto begin = thread_cpu();
    heap.heap->glance(now);
    heap.heap->tell(heap.odds, length);
    heap.next_round = heap.watcher.advance(std::chrono::steady_clock::now());
    heap.watcher.review(kReviewed);
    const auto price = thread_cpu() - begin;
    heap.price = heap.price == 0ns ? price : (7 * heap.price + price) / 8;
  }
  if (heap.heap->advance(now, budget * thrift * kSweepShare)) publish(heap);
}

std::chrono::nanoseconds LiveEngine::pause() {
  const auto left = next_round_ - std::chrono::steady_clock::now();
  return std::clamp<std::chrono::nanoseconds>(left, 0ns, PageFaultEngine::pause());
}

void LiveEngine::publish(Heap& heap) {
  LiveProfiled event;
  event.process = heap.target.index();
  LiveProfile profile = heap.book.profile(heap.heap->growth(), std::chrono::steady_clock::now(),
                                          context_.options.least_age);
  profile.counts = heap.watcher.counts();
  event.profile = std::make_shared<const LiveProfile>(std::move(profile));
  for (const cpython::Arena& arena : heap.heap->arenas())
    event.arenas.emplace_back(arena.start, arena.bytes);
  std::sort(event.arenas.begin(), event.arenas.end());
  event.pages = interner_.marker("[pymalloc arena]");
  context_.queue.push(std::move(event));
}

// The last look: no watch is left, then the heap as it is now, and what is still there of the book.
void LiveEngine::cease() {
  for (auto& [index, heap] : heaps_) heap->watcher.cease();
  PageFaultEngine::cease();
  std::vector<std::uint32_t> indexes;
  for (auto& [index, heap] : heaps_) indexes.push_back(index);
  for (const std::uint32_t index : indexes) {
    const auto there = [&] { return heaps_.contains(index); };
    if (there()) heaps_.at(index)->heap->sweep_anew();
    const auto deadline = std::chrono::steady_clock::now() + kLastSweepTime;
    while (there() && heaps_.at(index)->heap->sweeping() &&
           std::chrono::steady_clock::now() < deadline) {
      (void)heaps_.at(index)->heap->advance(std::chrono::steady_clock::now(), 1);
      seizure_.dispatch();  // nobody waits for the end of a sweep
    }
    if (!there()) continue;
    heaps_.at(index)->watcher.review_all();
    publish(*heaps_.at(index));
  }
}

}  // namespace memspy::sampler
