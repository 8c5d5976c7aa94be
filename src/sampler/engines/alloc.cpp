#include "sampler/engines/alloc.h"

#include <signal.h>

#include <algorithm>

namespace memspy::sampler {
namespace {

using namespace std::chrono_literals;

constexpr auto kTimer = 50ms;           // also a net under lost wake-ups
constexpr auto kSignalCheckPause = 2s;  // a target may install a handler at any time
constexpr auto kCodePause = 2s;         // …or hooks into its allocators
constexpr auto kLongestCodePause = 60s;
constexpr auto kWarmUpTime = 20ms;
constexpr auto kProbePeriod = 1s;
// An allocator's own frames take some hundred bytes, and those of tracemalloc's hooks a KiB: a
// stack in which none is found within this is not of an allocation.
constexpr std::size_t kTopOfStack = 4 << 10;

}  // namespace

AllocEngine::AllocEngine(EngineContext& context) : TracingEngine(context) {}
AllocEngine::~AllocEngine() = default;

Result<Unit> AllocEngine::probe(const procfs::ProcDir& proc, Pid pid) {
  MEMSPY_CHECK(probe_stop_signal(proc, pid));
  MEMSPY_TRY(clock, attach::PerfClock::open(Tid{pid.value}, kProbePeriod, SIGURG));
  (void)clock;
  return Unit{};
}

AllocEngine::Process& AllocEngine::process_of(const Target& target) {
  const std::uint32_t index = target.index().value;
  const auto it = processes_.find(index);
  if (it != processes_.end()) return it->second;
  return processes_
      .try_emplace(index, context_.options.budget_percent, std::chrono::steady_clock::now(), index)
      .first->second;
}

// --- threads ---

void AllocEngine::start_thread(Target& target, Tid tid, attach::ThreadOrigin origin) {
  using Origin = attach::ThreadOrigin;
  Process& process = process_of(target);
  if (origin == Origin::kForked && !process.code) {
    // The same files at the same addresses.
    const auto status = context_.proc.status(target.pid());
    const Target* parent = status.has_value() ? roster_.find_process(status->ppid) : nullptr;
    if (parent != nullptr) process.code = process_of(*parent).code;
  }
  auto thread = std::make_unique<Thread>();
  thread->tid = tid;
  thread->target = &target;
  thread->index = roster_.thread(target, tid);
  arm(*thread, origin == Origin::kCloned || origin == Origin::kForked);
  if (sampling() && thread->clock) thread->clock->enable();
  threads_[tid] = std::move(thread);
}

void AllocEngine::end_thread(Tid tid) {
  const auto it = threads_.find(tid);
  if (it == threads_.end()) return;
  const Target* target = it->second->target;
  note_time(*it->second);
  threads_.erase(it);
  const auto of_it = [&](const auto& entry) { return entry.second->target == target; };
  if (std::any_of(threads_.begin(), threads_.end(), of_it)) return;
  processes_.erase(target->index().value);
  natives_.forget(*target);
}

// A thread's first tick comes anywhere in a period, and stands for all of it: of threads that are
// over sooner, as many have one as is their share.
void AllocEngine::arm(Thread& thread, bool newborn) {
  const auto signal = choose_stop_signal(context_.proc, thread.target->pid(), thread.tid, newborn);
  if (!signal) return note_blind(thread);
  TickBudget& budget = process_of(*thread.target).budget;
  thread.weight = budget.period();
  auto clock = attach::PerfClock::open(thread.tid, budget.phase(), *signal);
  if (!clock.has_value()) {
    if (clock.error().code != Errc::kNoSuchProcess) note_blind(thread);
    return;
  }
  thread.clock = std::move(clock).value();
  thread.signal.use(*signal);
  thread.blind = false;
}

void AllocEngine::note_blind(Thread& thread) {
  if (!std::exchange(thread.blind, true)) context_.counters.blind_threads.fetch_add(1);
}

void AllocEngine::check_signal(Thread& thread) {
  const auto status = context_.proc.status(thread.target->pid(), thread.tid);
  if (!status.has_value() || !thread.signal.outdated(*status, thread.clock.has_value())) return;
  note_time(thread);
  if (thread.clock) thread.signal.retire(thread.clock->fd());
  thread.clock.reset();
  arm(thread, false);
  if (sampling() && thread.clock) thread.clock->enable();
}

// All that it has computed, in the kernel too: that is more than its ticks stand for.
void AllocEngine::note_time(Thread& thread) {
  if (!thread.clock) return;
  const auto time = thread.clock->take_time();
  context_.counters.clock.cpu_ns.fetch_add(static_cast<std::uint64_t>(time.count()),
                                           std::memory_order_relaxed);
}

// --- rounds ---

void AllocEngine::begin() {
  std::vector<Pid> pids;
  for (const auto& [pid, target] : roster_.processes()) pids.push_back(pid);
  for (const Pid pid : pids) {
    const Target* target = roster_.find_process(pid);
    if (target == nullptr || !target->has_interpreter()) continue;
    begin_search(*target);
    await_search();
  }
  // A first stop would take a millisecond otherwise: names and line tables of thirty frames.
  const auto end = std::chrono::steady_clock::now() + kWarmUpTime;
  for (auto& [tid, thread] : threads_) {
    if (std::chrono::steady_clock::now() > end) break;
    thread->thread_id = thread->target->find_thread_id(tid);
    if (thread->thread_id) (void)thread->target->read_running(*thread->thread_id, stack_);
  }
  for (auto& [tid, thread] : threads_)
    if (thread->clock) thread->clock->enable();
}

std::chrono::nanoseconds AllocEngine::pause() { return kTimer; }

void AllocEngine::work() {
  const auto now = std::chrono::steady_clock::now();
  const double thrift = context_.thrift.load(std::memory_order_relaxed);
  if (search_ && search_->done_within(0s)) end_search();
  for (const auto& [pid, target] : roster_.processes()) {
    process_of(*target).budget.set_thrift(thrift);
    look_for_code(*target, now);
  }
  if (now < next_signal_check_) return;
  next_signal_check_ = now + kSignalCheckPause;
  for (auto& [tid, thread] : threads_) {
    note_time(*thread);
    check_signal(*thread);
  }
}

// Of a process that has become a Python, and again where hooks have come into its tables.
void AllocEngine::look_for_code(Target& target, SteadyTime now) {
  Process& process = process_of(target);
  if (process.computes) look_for_interpreter(target);
  if (now < process.next_look || search_ || !target.has_interpreter()) return;
  process.next_look = now + kCodePause;
  if (process.code && !process.code->outdated(target.memory())) return;
  begin_search(target);
}

void AllocEngine::begin_search(const Target& target) {
  search_.emplace(target.index(), [&proc = context_.proc, pid = target.pid()] {
    return AllocatorCode::search(proc, pid);
  });
}

// Threads that stop meanwhile go on meanwhile.
void AllocEngine::await_search() {
  while (search_ && !search_->done_within(1ms)) seizure_.dispatch();
  if (search_) end_search();
}

// The process may have ended since.
void AllocEngine::end_search() {
  const ProcessIndex index = search_->process();
  auto found = search_->take();
  search_.reset();
  const auto it = processes_.find(index.value);
  if (it == processes_.end()) return;
  Process& process = it->second;
  if (!found.has_value()) {
    process.look_pause =
        std::clamp<std::chrono::nanoseconds>(2 * process.look_pause, kCodePause, kLongestCodePause);
    process.next_look = std::chrono::steady_clock::now() + process.look_pause;
    if (!process.code && !std::exchange(process.told, true))
      note_gap(context_, index,
               "nothing can be said of its allocations: " + describe(found.error()));
    return;
  }
  process.look_pause = {};
  process.code = std::move(found).value();
  context_.counters.clock.functions.store(process.code->functions(), std::memory_order_relaxed);
  context_.counters.clock.inlined_places.store(process.code->inlined_places(),
                                               std::memory_order_relaxed);
}

void AllocEngine::cease() {
  for (auto& [tid, thread] : threads_) {
    if (thread->clock) thread->clock->disable();
    note_time(*thread);
  }
  await_search();  // here, where stops are answered: its end would wait for it
}

// --- a tick: the thread stands still ---

bool AllocEngine::on_signal(Pid, Tid tid, const attach::SignalStop& stop) {
  const auto begin = std::chrono::steady_clock::now();
  const auto it = threads_.find(tid);
  if (it == threads_.end()) return false;
  Thread& thread = *it->second;
  if (!thread.signal.is_of(stop, thread.clock ? thread.clock->fd() : -1)) return false;
  Process& process = process_of(*thread.target);
  pending_ = Pending{};
  pending_.begin = begin;
  pending_.weight = thread.weight;
  thread.weight = process.budget.next_period();
  if (thread.clock) thread.clock->set_period(thread.weight);
  if (!process.code) return true;
  NativeStacks& natives = natives_.of(*thread.target);
  pending_.unread = !natives.take_top(seizure_, tid, kTopOfStack);
  if (pending_.unread) return true;
  pending_.leaf = process.code->find(natives.instruction());
  pending_.perhaps = pending_.leaf || process.code->may_call(natives.copied());
  if (!pending_.perhaps) return true;
  if (context_.options.native) natives.take_rest();
  read_stack(thread);
  return true;
}

void AllocEngine::read_stack(Thread& thread) {
  const auto python = find_stopped(*thread.target, thread.tid, thread.thread_id);
  pending_.python = python.has_value();
  if (!python) return;
  thread.thread_id = python->thread_id;
  const auto captured = thread.target->reader()->capture(
      python->state, stack_, pending_.begin + context_.options.max_pause);
  pending_.readable = captured.has_value();
  pending_.partial = !captured.has_value() && captured.error().code == Errc::kTimeout;
}

// --- the thread runs again ---

void AllocEngine::on_resumed(Pid, Tid tid) {
  const auto now = std::chrono::steady_clock::now();
  const auto held = now - pending_.begin;
  context_.counters.pauses.add(held);
  Thread& thread = *threads_.at(tid);
  Process& process = process_of(*thread.target);
  process.computes = true;
  process.budget.on_stop(now, held, pending_.weight);
  if (pending_.partial) process.budget.back_off();
  settle(thread, process.code.get());
}

AllocationJudgement AllocEngine::judge_pending(Thread& thread, const AllocatorCode* code) {
  if (pending_.unread) return {AllocationSign::kUnknown, CodeKind::kPython};
  if (code == nullptr || !pending_.perhaps) return {AllocationSign::kElsewhere, CodeKind::kPython};
  NativeStacks& natives = natives_.of(*thread.target);
  // Those of the libraries are called by what frees, too.
  const bool certain = pending_.leaf && *pending_.leaf != CodeKind::kLibrary;
  if (context_.options.native) {
    natives_.merge(*thread.target, pending_.readable ? &stack_ : nullptr);
  } else if (!certain) {
    natives.unwind();
  }
  if (certain) return {AllocationSign::kAllocating, *pending_.leaf};
  const AllocationJudgement found = judge(*code, natives.stack());
  if (pending_.leaf && found.sign == AllocationSign::kUnknown)
    return {AllocationSign::kAllocating, *pending_.leaf};
  return found;
}

void AllocEngine::settle(Thread& thread, const AllocatorCode* code) {
  auto& clock = context_.counters.clock;
  clock.ticks.fetch_add(1, std::memory_order_relaxed);
  clock.user_ns.fetch_add(static_cast<std::uint64_t>(pending_.weight.count()),
                          std::memory_order_relaxed);
  if (code == nullptr) clock.outside.fetch_add(1, std::memory_order_relaxed);
  const AllocationJudgement found = judge_pending(thread, code);
  if (found.sign == AllocationSign::kUnknown)
    clock.unclassified.fetch_add(1, std::memory_order_relaxed);
  if (found.sign != AllocationSign::kAllocating) return push(thread, kNoStack);
  // Up to 3.11 a collection begins inside the allocation that brings it about, and is none of it.
  if (pending_.readable && stack_.collecting) {
    clock.collecting.fetch_add(1, std::memory_order_relaxed);
    return push(thread, kNoStack);
  }
  count(found.kind);
  clock.allocating_ns.fetch_add(static_cast<std::uint64_t>(pending_.weight.count()),
                                std::memory_order_relaxed);
  push(thread, stack_of(thread));
}

StackId AllocEngine::stack_of(Thread& thread) {
  auto& counters = context_.counters;
  if (pending_.python && !pending_.readable) {
    (pending_.partial ? counters.partial : counters.rejected)
        .fetch_add(1, std::memory_order_relaxed);
    return interner_.marker("[unattributed]");
  }
  counters.samples.fetch_add(1, std::memory_order_relaxed);
  Target& target = *thread.target;
  if (pending_.python) roster_.name_thread(target, thread.tid, *thread.thread_id);
  if (context_.options.native)
    return natives_.intern(target, thread.tid, pending_.python ? &stack_ : nullptr);
  if (!pending_.python) return interner_.marker("[native thread]");
  if (stack_.frames.empty()) return interner_.marker("[outside Python]");
  return interner_.python_stack(target.index(), *target.reader(), stack_);
}

void AllocEngine::count(CodeKind kind) {
  auto& clock = context_.counters.clock;
  auto& counter = kind == CodeKind::kPython    ? clock.in_python
                  : kind == CodeKind::kLibrary ? clock.in_library
                                               : clock.inlined;
  counter.fetch_add(1, std::memory_order_relaxed);
}

void AllocEngine::push(const Thread& thread, StackId stack) {
  context_.queue.push(ClockTick{thread.target->index(), thread.index, stack, pending_.weight});
}

}  // namespace memspy::sampler
