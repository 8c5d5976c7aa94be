#include "sampler/engines/bpf.h"

#include <sys/epoll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include "attach/wait_status.h"

namespace memspy::sampler {
namespace {

using namespace std::chrono_literals;
using attach::BpfFaults;

constexpr auto kRound = 50ms;       // between looks at what the program left
constexpr auto kScanPause = 250ms;  // between looks for threads that came or went unheard
constexpr auto kSumPause = 100ms;   // between sums of what was counted
constexpr auto kYouth = 1s;         // so long a thread of Python's may be without a Python state
// A burst may leave so many records before its period is known to be too short.
constexpr std::int64_t kRecordsPerRound = 2400;

// Keys of descriptors; those of processes are their pids.
constexpr std::uint64_t kWakeKey = 0, kRecordsKey = ~0ULL, kChildSignalKey = ~1ULL;

memspy_bpf_walk to_kernel(const cpython::WalkPlan& plan) {
  memspy_bpf_walk walk{};
  walk.interpreters_head = plan.interpreters_head.value;
  walk.collecting_flag = plan.collecting_flag.value;
  walk.interpreter_next = plan.interpreter_next;
  walk.interpreter_threads = plan.interpreter_threads;
  walk.interpreter_collecting = plan.interpreter_collecting;
  walk.thread_prev = plan.thread_prev;
  walk.thread_next = plan.thread_next;
  walk.thread_interpreter = plan.thread_interpreter;
  walk.thread_id = plan.thread_id;
  walk.thread_anchor = plan.thread_anchor;
  walk.through_cframe = plan.through_cframe ? 1 : 0;
  walk.cframe_current = plan.cframe_current;
  walk.frame_previous = plan.frame_previous;
  walk.frame_bytes = plan.frame_bytes;
  walk.thread_bytes = plan.thread_bytes;
  walk.gc_next = plan.gc_next;
  walk.frames_in_chunks =
      plan.frames_in_chunks && plan.frame_bytes <= MEMSPY_BPF_CHUNK_FRAME_BYTES ? 1 : 0;
  return walk;
}

}  // namespace

BpfEngine::BpfEngine(EngineContext& context, std::unique_ptr<BpfFaults> faults, Extras extras)
    : context_(context),
      roster_(context.proc, context.queue, context.start, context.options.assume_minor),
      interner_(context.queue),
      faults_(std::move(faults)),
      fault_percent_(context.options.budget_percent * (extras.live ? BpfLive::kFaultShare : 1)),
      epoll_(::epoll_create1(EPOLL_CLOEXEC)) {
  watch(context_.to_tracer.fd(), kWakeKey);
  watch(faults_->fd(), kRecordsKey);
  if (extras.guarded) watch(guard_.emplace(context_.proc).fd(), kChildSignalKey);
  if (extras.live)
    live_.emplace(context_, roster_, interner_, *faults_, [this] {
      take_records();
      if (guard_) guard_->dispatch();  // a thread may stand still
    });
}

void BpfEngine::watch(int fd, std::uint64_t key) {
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.u64 = key;
  ::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event);
}

// --- processes and threads come and go ---

Result<Unit> BpfEngine::attach(Pid pid, AttachKind) {
  Target& target = roster_.process(pid);
  MEMSPY_CHECK(target.await_interpreter());
  if (!walk_of(target)) {
    Error error =
        make_error(Errc::kUnsupported, "engine bpf cannot follow this interpreter's stacks");
    error.hint = "--engine faults";
    return error;
  }
  if (guard_)
    MEMSPY_CHECK(guard_->seize(pid).context("attaching to process " + std::to_string(pid.value)));
  roster_.announce(target);
  start_process(pid, std::nullopt);
  return Unit{};
}

// `spent`: of the process that has executed this program; it is budgeted on.
void BpfEngine::start_process(Pid pid, const std::optional<TrailBudget>& spent) {
  Target& target = roster_.process(pid);
  auto& process = processes_[pid];
  process = std::make_unique<Process>(target, fault_percent_);
  if (spent) process->budget = *spent;
  process->pidfd.reset(static_cast<int>(::syscall(SYS_pidfd_open, pid.value, 0)));
  if (process->pidfd.valid()) watch(process->pidfd.get(), static_cast<std::uint64_t>(pid.value));
  if (sampling_) {
    WindowEdge edge = roster_.edge_of(target, WindowEdge::Kind::kBegins);
    edge.fresh = spent.has_value();
    context_.queue.push(std::move(edge));
  }
  plan(*process);
  if (sampling_) (void)find_threads(*process);
  context_.to_collector.wake();
}

// How the program follows the stacks of this interpreter; nullopt: it cannot.
std::optional<memspy_bpf_walk> BpfEngine::walk_of(const Target& target) {
  const auto* interpreter = target.interpreter();
  if (interpreter == nullptr) return std::nullopt;
  const auto plan = cpython::plan_walk(interpreter->layout(), interpreter->anchors());
  if (!plan || plan->frame_bytes > MEMSPY_BPF_FRAME_BYTES ||
      plan->thread_bytes > MEMSPY_BPF_STATE_BYTES)
    return std::nullopt;
  return to_kernel(*plan);
}

// Before its interpreter is known the stacks of a process are empty.
void BpfEngine::plan(Process& process) {
  if (process.planned) return;
  Target& target = *process.target;
  if (sampling_ && !target.has_interpreter()) {
    target.find_interpreter_soon();
    if (target.has_interpreter()) roster_.announce(target);
  }
  const auto walk = walk_of(target);
  if (!walk && process.watched) return;
  process.watched =
      faults_->watch_process(target.index().value, target.pid(), walk.value_or(memspy_bpf_walk{}))
          .has_value();
  process.planned = walk && process.watched;
}

void BpfEngine::start_thread(Process& process, Tid tid, bool newborn) {
  if (threads_.contains(tid)) return;
  Target& target = *process.target;
  const auto watched = faults_->watch_thread(target.index().value, tid, process.budget.period());
  if (!watched.has_value()) {
    if (watched.error().code != Errc::kNoSuchProcess) context_.counters.blind_threads.fetch_add(1);
    if (watched.error().code == Errc::kNoSuchProcess) return;
  }
  Thread thread;
  thread.target = &target;
  thread.index = roster_.thread(target, tid);
  if (newborn) thread.young_until = std::chrono::steady_clock::now() + kYouth;
  threads_.emplace(tid, thread);
  if (live_) live_->start_thread(target, tid, newborn);
}

// What its last record does not stand for was taken since, and most likely there.
void BpfEngine::end_thread(Tid tid) {
  const auto it = threads_.find(tid);
  if (it == threads_.end()) return;
  Thread& thread = it->second;
  const std::uint64_t faults = faults_->count(tid);
  if (thread.stack && faults > thread.charged)
    push(thread, *thread.stack, {}, faults - thread.charged, false);
  faults_->forget_thread(tid);
  if (live_) live_->end_thread(tid);
  roster_.remove_thread(tid);
  threads_.erase(it);
}

void BpfEngine::end_threads_of(const Target& target) {
  std::vector<Tid> tids;
  for (const auto& [tid, thread] : threads_) {
    if (thread.target == &target) tids.push_back(tid);
  }
  for (const Tid tid : tids) end_thread(tid);
}

void BpfEngine::end_process(Pid pid) {
  take_records();
  const auto it = processes_.find(pid);
  if (it == processes_.end()) return;
  const Target& target = *it->second->target;
  end_threads_of(target);
  context_.queue.push(
      WindowEdge{target.index(), WindowEdge::Kind::kExited, 0, it->second->end, false});
  give_up_process(pid);
  context_.to_collector.wake();
}

void BpfEngine::on_forked(const memspy_bpf_record& record) {
  const auto it = processes_.find(Pid{static_cast<pid_t>(record.child)});
  if (it != processes_.end()) {
    const Tid tid{static_cast<pid_t>(record.tid)};
    end_thread(tid);  // whose number it has been given
    return start_thread(*it->second, tid, /*newborn=*/true);
  }
  if ((record.flags & MEMSPY_BPF_SHARES_MEMORY) == 0)
    context_.queue.push(ForkNoticed{ProcessIndex{record.process}});
}

// Nothing of what was is left, its other threads included.
void BpfEngine::on_execed(Pid pid) {
  const auto it = processes_.find(pid);
  if (it == processes_.end()) return;
  const Target& target = *it->second->target;
  end_threads_of(target);
  context_.queue.push(WindowEdge{target.index(), WindowEdge::Kind::kExeced, 0, {}, false});
  const TrailBudget spent = it->second->budget;
  give_up_process(pid);
  start_process(pid, spent);
}

// The other threads may go on; when the last one has ended the pidfd says so.
void BpfEngine::on_exited(const memspy_bpf_record& record) {
  const auto it = processes_.find(Pid{static_cast<pid_t>(record.tid)});
  if (it != processes_.end())
    it->second->end = describe_end(attach::WaitStatus(static_cast<int>(record.child)));
}

void BpfEngine::give_up_process(Pid pid) {
  faults_->forget_process(processes_.at(pid)->target->index().value, pid);
  processes_.erase(pid);
  roster_.remove_process(pid);
}

// --- the loop ---

void BpfEngine::run(const std::function<void()>& began) {
  if (guard_) ask_for_priority();
  sampling_ = true;
  faults_->allow(kRecordsPerRound);
  for (const auto& [pid, process] : processes_) {
    context_.queue.push(roster_.edge_of(*process->target, WindowEdge::Kind::kBegins));
    (void)find_threads(*process);
  }
  began();
  context_.to_collector.wake();
  while (!context_.ending.load(std::memory_order_acquire) && !processes_.empty()) {
    wait();
    if (guard_) context_.errands.run(guard_->seizure());
    work();
  }
  release();
}

void BpfEngine::wait() {
  std::array<epoll_event, 16> events;
  std::chrono::nanoseconds pause = kRound;
  if (live_)
    pause = std::clamp<std::chrono::nanoseconds>(next_round_ - std::chrono::steady_clock::now(),
                                                 0ns, kRound);
  const timespec timeout{0, pause.count()};
  const int count = ::epoll_pwait2(epoll_.get(), events.data(), events.size(), &timeout, nullptr);
  for (int i = 0; i < count; ++i) {
    const std::uint64_t key = events[static_cast<std::size_t>(i)].data.u64;
    if (key == kWakeKey) {
      context_.to_tracer.clear();
    } else if (key == kChildSignalKey) {
      guard_->dispatch();
    } else if (key != kRecordsKey) {
      end_process(Pid{static_cast<pid_t>(key)});
    }
  }
}

void BpfEngine::work() {
  take_records();
  const auto now = std::chrono::steady_clock::now();
  const double thrift = context_.thrift.load(std::memory_order_relaxed);
  const bool scan = now >= next_scan_;
  if (scan) next_scan_ = now + kScanPause;
  std::vector<Pid> gone;
  for (const auto& [pid, process] : processes_) {
    plan(*process);
    process->budget.set_thrift(thrift);
    if (process->budget.on_tick(now)) set_periods(*process);
    if (scan && !find_threads(*process)) gone.push_back(pid);
  }
  for (const Pid pid : gone) end_process(pid);
  if (now >= next_sum_) {
    next_sum_ = now + kSumPause;
    tell_awaited();
  }
  faults_->allow(kRecordsPerRound);
  if (live_) {
    take_records();  // what was written by now belongs to the round that may end here
    next_round_ = live_->work(std::chrono::steady_clock::now());
  }
  if (context_.queue.crowded()) context_.to_collector.wake();
}

void BpfEngine::take_records() {
  faults_->consume([this](const BpfFaults::Record& record) { take(record); });
  const BpfFaults::Lost lost = faults_->lost();
  context_.counters.kernel_records_lost.store(lost.records, std::memory_order_relaxed);
  context_.counters.kernel_events_lost.store(lost.events, std::memory_order_relaxed);
}

void BpfEngine::take(const BpfFaults::Record& record) {
  switch (record.head.kind) {
    case MEMSPY_BPF_FAULT:
      return on_fault(record);
    case MEMSPY_BPF_FORKED:
      return on_forked(record.head);
    case MEMSPY_BPF_EXECED:
      return on_execed(Pid{static_cast<pid_t>(record.head.tid)});
    case MEMSPY_BPF_EXITED:
      return on_exited(record.head);
    case MEMSPY_BPF_WRITE:
      return on_write(record);
    default:
      return;
  }
}

void BpfEngine::set_periods(const Process& process) {
  for (const auto& [tid, thread] : threads_) {
    if (thread.target == process.target) faults_->set_period(tid, process.budget.period());
  }
}

// False: the process has none any more. Takes no records: among them may be an exec, which would
// end this process.
bool BpfEngine::find_threads(Process& process) {
  const auto listed = context_.proc.threads(process.target->pid());
  if (!listed.has_value()) return false;
  std::vector<Tid> gone;
  for (const auto& [tid, thread] : threads_) {
    const bool there = std::binary_search(listed->begin(), listed->end(), tid);
    if (thread.target == process.target && !there) gone.push_back(tid);
  }
  for (const Tid tid : gone) end_thread(tid);
  for (const Tid tid : *listed) start_thread(process, tid);
  return true;
}

// RSS holds the pages of what was counted already.
void BpfEngine::tell_awaited() {
  std::unordered_map<const Target*, std::int64_t> waiting;
  for (const auto& [tid, thread] : threads_) {
    const std::uint64_t faults = faults_->count(tid);
    waiting[thread.target] += static_cast<std::int64_t>(faults - std::min(faults, thread.charged));
  }
  for (const auto& [pid, process] : processes_) {
    const std::int64_t now = waiting[process->target];
    const std::int64_t before = std::exchange(process->awaited, now);
    if (now != before)
      context_.queue.push(FaultsAwaited{process->target->index(), kNoChunk, now - before});
  }
}

void BpfEngine::release() {
  sampling_ = false;
  if (!faults_) return;
  take_records();
  if (live_) live_->cease();
  for (const auto& [pid, process] : processes_) {
    end_threads_of(*process->target);
    if (process->awaited != 0)
      context_.queue.push(
          FaultsAwaited{process->target->index(), kNoChunk, -std::exchange(process->awaited, 0)});
    context_.queue.push(roster_.edge_of(*process->target, WindowEdge::Kind::kEnds));
  }
  live_.reset();
  faults_.reset();
  if (guard_) guard_->release();
}

// --- from a record to an event ---

void BpfEngine::on_fault(const BpfFaults::Record& record) {
  const Tid tid{static_cast<pid_t>(record.head.tid)};
  const auto it = threads_.find(tid);
  if (it == threads_.end() || it->second.target->index().value != record.head.process) return;
  Thread& thread = it->second;
  thread.charged += record.head.faults;
  Process& process = *processes_.at(thread.target->pid());
  const RemoteAddr address{record.head.address};
  const RemoteAddr before = std::exchange(thread.newest, address);
  if (is_next_chunk(before, address)) process.budget.expect_huge_pages();
  if (process.budget.add_faults(record.head.faults)) set_periods(process);
  const auto stack = stack_of(thread, tid, record);
  if (!stack) {
    context_.counters.rejected.fetch_add(1, std::memory_order_relaxed);
    context_.counters.rejected_faults.fetch_add(record.head.faults, std::memory_order_relaxed);
    return;
  }
  thread.stack = stack;
  context_.counters.samples.fetch_add(1, std::memory_order_relaxed);
  push(thread, *stack, address, record.head.faults,
       (record.head.flags & MEMSPY_BPF_IN_KERNEL) != 0);
}

// A thread may be over before it is heard of, and has kept what it has kept.
void BpfEngine::on_write(const BpfFaults::Record& record) {
  const Tid tid{static_cast<pid_t>(record.head.tid)};
  const auto of_it = [&](const auto& entry) {
    return entry.second->target->index().value == record.head.process;
  };
  const auto process = std::find_if(processes_.begin(), processes_.end(), of_it);
  if (!live_ || process == processes_.end()) return;
  Target& target = *process->second->target;
  const auto slot = live_->slot_of(target, record.head);
  if (!slot) return;
  const auto known = threads_.find(tid);
  Thread passing;
  if (known == threads_.end()) {
    passing.target = &target;
    passing.index = roster_.thread(target, tid);
    roster_.remove_thread(tid);
  }
  Thread& thread = known == threads_.end() ? passing : known->second;
  const auto stack = stack_of(thread, tid, record);
  (stack ? context_.counters.samples : context_.counters.rejected)
      .fetch_add(1, std::memory_order_relaxed);
  live_->on_write(target, *slot, record.head,
                  stack ? std::optional(LiveOwner{thread.index, *stack}) : std::nullopt);
}

void BpfEngine::push(const Thread& thread, StackId stack, RemoteAddr address, std::uint64_t faults,
                     bool in_kernel) {
  context_.queue.push(
      FaultSample{thread.target->index(), thread.index, stack, address, faults, in_kernel, false});
}

// nullopt: a Python stack that did not hold together.
std::optional<StackId> BpfEngine::stack_of(Thread& thread, Tid tid,
                                           const BpfFaults::Record& record) {
  Target& target = *thread.target;
  if (!target.has_interpreter()) return interner_.marker("[outside Python]");
  if ((record.head.flags & MEMSPY_BPF_NO_STATE) != 0 || record.head.state == 0) {
    const bool young = std::chrono::steady_clock::now() < thread.young_until;
    return interner_.marker(young ? "[starting]" : "[native thread]");
  }
  if ((record.head.flags & MEMSPY_BPF_UNREADABLE) != 0) return std::nullopt;
  if (record.head.innermost == 0) return interner_.marker("[outside Python]");
  if (!decode(target, record)) return std::nullopt;
  if (raw_.frames.empty()) return interner_.marker("[outside Python]");
  roster_.name_thread(target, tid, record.head.thread_id);
  return interner_.python_stack(target.index(), *target.reader(), raw_);
}

bool BpfEngine::decode(Target& target, const BpfFaults::Record& record) {
  recorded_.clear();
  const std::size_t bytes = record.head.frame_bytes, stride = MEMSPY_BPF_FRAME_STRIDE(bytes);
  for (std::size_t at = 0; at + stride <= record.frames.size(); at += stride) {
    std::uint64_t address = 0;
    std::memcpy(&address, record.frames.data() + at, sizeof(address));
    recorded_.push_back({RemoteAddr{address}, record.frames.subspan(at + sizeof(address), bytes)});
  }
  cpython::RecordedStack stack;
  stack.state = RemoteAddr{record.head.state};
  stack.frames = recorded_;
  stack.collecting = (record.head.flags & MEMSPY_BPF_COLLECTING) != 0;
  stack.truncated = (record.head.flags & MEMSPY_BPF_TRUNCATED) != 0;
  return target.reader()->decode(stack, raw_).has_value();
}

}  // namespace memspy::sampler
