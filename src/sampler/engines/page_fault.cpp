#include "sampler/engines/page_fault.h"

#include <signal.h>

#include <algorithm>
#include <array>
#include <sstream>

#include "attach/signal_choice.h"

namespace memspy::sampler {
namespace {

using namespace std::chrono_literals;
using attach::FaultKind;
using attach::PerfFaultEvent;

constexpr auto kTimer = 50ms;           // budgets are looked at; also a net under lost wake-ups
constexpr auto kSignalCheckPause = 2s;  // a target may install a handler at any time
constexpr auto kIdentifyPause = 1s;
constexpr int kTornReads = 3;           // attempts at a stack that changes while it is read
constexpr std::size_t kMaxCalls = 64;   // places in a thread from which calls touch memory
constexpr std::uint64_t kFirstKernelPeriod = 1;
constexpr std::uint64_t kProbePeriod = 1U << 30;

}  // namespace

Result<Unit> PageFaultEngine::probe(const procfs::ProcDir& proc, Pid pid) {
  MEMSPY_TRY(status, proc.status(pid));
  if (!attach::choose_signal(status)) {
    return make_error(Errc::kUnsupported, "the target catches or blocks SIGURG, SIGWINCH and SIGCHLD");
  }
  MEMSPY_TRY(event, PerfFaultEvent::open(Tid{pid.value}, FaultKind::kSignalled, kProbePeriod, SIGURG));
  (void)event;
  return Unit{};
}

PageFaultEngine::Budgets& PageFaultEngine::budgets_of(const Target& target) {
  const auto it = budgets_.find(target.index().value);
  if (it != budgets_.end()) return it->second;
  const Budget fresh(context_.options.budget_percent, std::chrono::steady_clock::now());
  return budgets_.emplace(target.index().value, Budgets{fresh, fresh}).first->second;
}

void PageFaultEngine::start_thread(Target& target, Tid tid) {
  auto thread = std::make_unique<Thread>();
  thread->tid = tid;
  thread->target = &target;
  thread->index = roster_.thread(target, tid);
  Thread& added = *thread;
  threads_[tid] = std::move(thread);
  arm(added);
  if (sampling()) enable(added);
}

// Closing its descriptors also takes them out of epoll.
void PageFaultEngine::end_thread(Tid tid) { threads_.erase(tid); }

void PageFaultEngine::begin() {
  for (auto& [tid, thread] : threads_) enable(*thread);
}

void PageFaultEngine::cease() {
  for (auto& [tid, thread] : threads_) {
    if (thread->user) thread->user->disable();
    if (thread->kernel) thread->kernel->disable();
  }
}

std::chrono::nanoseconds PageFaultEngine::pause() { return kTimer; }

void PageFaultEngine::work() {
  const auto now = std::chrono::steady_clock::now();
  std::uint64_t largest = 1;
  for (const auto& [pid, target] : roster_.processes()) {
    Budgets& budgets = budgets_of(*target);
    const bool stops = budgets.stops.on_tick(now);
    const bool reads = budgets.kernel_reads.on_tick(now);
    if (stops || reads) set_periods(budgets, *target);
    largest = std::max(largest, budgets.stops.period());
  }
  context_.counters.period.store(largest, std::memory_order_relaxed);
  if (now < next_signal_check_) return;
  next_signal_check_ = now + kSignalCheckPause;
  for (auto& [tid, thread] : threads_) check_signal(*thread);
}

// --- events of a thread ---

void PageFaultEngine::arm(Thread& thread) {
  const auto status = context_.proc.status(thread.target->pid(), thread.tid);
  const auto signal = status.has_value() ? attach::choose_signal(*status) : std::optional<int>(SIGURG);
  const auto kind = signal ? FaultKind::kSignalled : FaultKind::kSilentAll;
  auto event = PerfFaultEvent::open(thread.tid, kind, budgets_of(*thread.target).stops.period(), signal.value_or(0));
  if (!event.has_value()) {
    if (event.error().code != Errc::kNoSuchProcess) context_.counters.blind_threads.fetch_add(1);
    return;
  }
  thread.signal = signal.value_or(0);
  if (kind == FaultKind::kSilentAll) {
    thread.kernel = std::move(event).value();
    watch(thread.kernel->fd(), static_cast<std::uint64_t>(thread.tid.value));
    return;
  }
  thread.user = std::move(event).value();
  arm_kernel(thread);
}

void PageFaultEngine::arm_kernel(Thread& thread) {
  if (!kernel_events_) return;
  auto event = PerfFaultEvent::open(thread.tid, FaultKind::kSilent, kFirstKernelPeriod, 0);
  if (!event.has_value()) {
    // perf_event_paranoid 2: what the kernel touches inside system calls stays unattributed.
    if (event.error().code == Errc::kPermission) kernel_events_ = false;
    return;
  }
  thread.kernel = std::move(event).value();
  if (thread.kernel->has_ring()) watch(thread.kernel->fd(), static_cast<std::uint64_t>(thread.tid.value));
}

void PageFaultEngine::enable(Thread& thread) {
  if (thread.user) thread.user->enable();
  if (thread.kernel) thread.kernel->enable();
}

// A handler installed since would be run by our signal, were memspy to die.
void PageFaultEngine::check_signal(Thread& thread) {
  if (!thread.user) return;
  const auto status = context_.proc.status(thread.target->pid(), thread.tid);
  if (!status.has_value() || attach::signal_free(*status, thread.signal)) return;
  thread.user.reset();
  thread.kernel.reset();
  arm(thread);
  if (sampling()) enable(thread);
}

void PageFaultEngine::set_periods(Budgets& budgets, const Target& target) {
  for (auto& [tid, thread] : threads_) {
    if (thread->target != &target) continue;
    if (thread->user) thread->user->set_period(budgets.stops.jittered_period());
    if (thread->kernel) thread->kernel->set_period(budgets.kernel_reads.jittered_period());
  }
}

// --- a fault in user mode: the thread stands still ---

bool PageFaultEngine::on_signal(Pid, Tid tid, const attach::SignalStop& stop) {
  const auto begin = std::chrono::steady_clock::now();
  const auto it = threads_.find(tid);
  if (it == threads_.end() || !it->second->user) return false;
  Thread& thread = *it->second;
  const bool ours = stop.signal == thread.signal && stop.fd == thread.user->fd() &&
                    (stop.code == POLL_IN || stop.code == POLL_HUP || stop.code == SI_SIGIO);
  if (!ours) return false;
  pending_ = Pending{};
  pending_.begin = begin;
  if (!thread.thread_id) thread.thread_id = seizure_.fs_base(tid);
  read_stopped(thread);
  pending_.faults = thread.user->take_count();
  if (const auto records = thread.user->take_records(); !records.empty()) pending_.address = records.back().address;
  thread.user->set_period(budgets_of(*thread.target).stops.jittered_period());
  return true;
}

void PageFaultEngine::read_stopped(Thread& thread) {
  auto* reader = thread.target->reader();
  pending_.outside = reader == nullptr;
  if (reader == nullptr || !thread.thread_id) return;
  const RemoteAddr state = reader->find_thread_state(*thread.thread_id);
  pending_.python = static_cast<bool>(state);
  if (state) pending_.readable = reader->capture(state, thread.stack).has_value();
}

void PageFaultEngine::on_resumed(Pid, Tid tid) {
  const auto now = std::chrono::steady_clock::now();
  const auto held = now - pending_.begin;
  context_.counters.pauses.add(held);
  Thread& thread = *threads_.at(tid);
  Budgets& budgets = budgets_of(*thread.target);
  if (budgets.stops.on_stop(now, held, pending_.faults)) set_periods(budgets, *thread.target);
  context_.counters.samples.fetch_add(1, std::memory_order_relaxed);
  if (rejected(pending_)) return;
  context_.queue.push(FaultSample{thread.target->index(), thread.index, intern(thread, pending_), pending_.address,
                                  pending_.faults, false, false});
}

// --- faults inside a system call: the thread goes on, its Python stack does not move ---

void PageFaultEngine::on_readable(std::uint64_t key) {
  const auto it = threads_.find(Tid{static_cast<pid_t>(key)});
  if (it == threads_.end() || !it->second->kernel) return;
  Thread& thread = *it->second;
  Pending sample;
  sample.begin = std::chrono::steady_clock::now();
  const std::uint64_t before = thread.kernel->peek_count();
  sample.readable = read_running(thread);
  sample.outside = thread.target->reader() == nullptr;
  sample.python = thread.thread_id.has_value();
  // Faults while the stack was read: the call was in progress. That is proof even where the last
  // record is older.
  bool confirmed = thread.kernel->peek_count() > before;
  const auto records = thread.kernel->take_records();
  sample.faults = thread.kernel->take_count();
  if (sample.faults == 0) return;
  if (!confirmed && !records.empty()) confirmed = in_call(thread, records.back());
  Budgets& budgets = budgets_of(*thread.target);
  const auto now = std::chrono::steady_clock::now();
  if (budgets.kernel_reads.on_stop(now, now - sample.begin, sample.faults)) set_periods(budgets, *thread.target);
  context_.counters.samples.fetch_add(1, std::memory_order_relaxed);
  context_.counters.kernel_samples.fetch_add(1, std::memory_order_relaxed);
  std::optional<StackId> stack;
  if (!rejected(sample)) stack = intern(thread, sample);
  charge_calls(thread, records, sample.faults, stack, confirmed);
}

// The records since the last time may be of several calls; each stands for its part of the faults. The
// newest call is the one that `now` was read in, if that is confirmed.
void PageFaultEngine::charge_calls(Thread& thread, std::span<const attach::FaultRecord> records, std::uint64_t faults,
                                   std::optional<StackId> now, bool confirmed) {
  const auto push = [&](RemoteAddr address, std::uint64_t part, std::optional<StackId> stack, bool late) {
    if (late) context_.counters.late.fetch_add(1, std::memory_order_relaxed);
    if (!stack) return;
    context_.queue.push(FaultSample{thread.target->index(), thread.index, *stack, address, part, true, late});
  };
  if (records.empty()) {
    push({}, faults, now, !confirmed);
    return;
  }
  const auto known = [&](const attach::FaultRecord& call) {
    return std::find_if(thread.calls.begin(), thread.calls.end(), [&](const CallStack& c) { return c.call.same_call(call); });
  };
  if (confirmed && now) {
    if (const auto it = known(records.back()); it != thread.calls.end()) {
      it->stack = *now;
    } else {
      if (thread.calls.size() >= kMaxCalls) thread.calls.erase(thread.calls.begin());
      thread.calls.push_back({records.back(), *now});
    }
  }
  std::uint64_t left = faults;
  for (std::size_t begin = 0; begin < records.size();) {
    std::size_t end = begin + 1;
    while (end < records.size() && records[end].same_call(records[begin])) ++end;
    const std::uint64_t part = end == records.size() ? left : std::min(left, faults * (end - begin) / records.size());
    left -= part;
    const auto it = known(records[begin]);
    const bool in_time = it != thread.calls.end();
    push(records[end - 1].address, part, in_time ? std::optional(it->stack) : now, !in_time);
    begin = end;
  }
}

// Two reads that agree: the chain did not change in between.
bool PageFaultEngine::read_running(Thread& thread) {
  identify(thread);
  auto* reader = thread.target->reader();
  if (reader == nullptr || !thread.thread_id) return false;
  const RemoteAddr state = reader->find_thread_state(*thread.thread_id);
  if (!state) return false;
  cpython::RawStack again;
  for (int attempt = 0; attempt < kTornReads; ++attempt) {
    if (!reader->capture(state, thread.stack).has_value() || !reader->capture(state, again).has_value()) continue;
    const auto same = [](const cpython::RawFrame& a, const cpython::RawFrame& b) {
      return a.frame == b.frame && a.code == b.code && a.instruction == b.instruction;
    };
    if (std::equal(thread.stack.frames.begin(), thread.stack.frames.end(), again.frames.begin(), again.frames.end(), same)) {
      return true;
    }
  }
  return false;
}

// Blocked in the very call, or again at the same place: "NR ARG0 … ARG5 SP PC", in hexadecimal but
// for the number. A thread that runs prints "running".
bool PageFaultEngine::in_call(const Thread& thread, const attach::FaultRecord& call) const {
  const auto text = context_.proc.syscall(thread.target->pid(), thread.tid);
  if (!text.has_value() || text->starts_with("running")) return false;
  std::istringstream words(*text);
  std::int64_t number = 0;
  std::array<std::uint64_t, 8> values{};
  words >> number >> std::hex;
  for (auto& value : values) words >> value;
  return words && values[0] == call.argument && values[6] == call.stack && values[7] == call.code;
}

void PageFaultEngine::identify(Thread& thread) {
  const auto now = std::chrono::steady_clock::now();
  if (thread.thread_id || now < thread.next_identification) return;
  thread.thread_id = thread.target->find_thread_id(thread.tid);
  thread.next_identification = now + kIdentifyPause;
}

// --- from a captured stack to an event ---

StackId PageFaultEngine::intern(Thread& thread, const Pending& sample) {
  Target& target = *thread.target;
  if (sample.outside) {
    target.find_interpreter_soon();
    if (target.has_interpreter()) roster_.announce(target);
    return interner_.marker("[outside Python]");
  }
  if (!sample.python) return interner_.marker("[native thread]");
  if (thread.stack.frames.empty()) return interner_.marker("[outside Python]");
  roster_.name_thread(target, thread.tid, *thread.thread_id);
  return interner_.python_stack(target.index(), *target.reader(), thread.stack);
}

// A Python thread whose stack did not hold together: its faults stay unattributed, and are counted.
bool PageFaultEngine::rejected(const Pending& sample) {
  if (sample.readable || sample.outside || !sample.python) return false;
  context_.counters.rejected.fetch_add(1, std::memory_order_relaxed);
  context_.counters.rejected_faults.fetch_add(sample.faults, std::memory_order_relaxed);
  return true;
}

}  // namespace memspy::sampler
