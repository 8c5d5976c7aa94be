#include "sampler/engines/page_fault.h"

#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>

#include "attach/signal_choice.h"
#include "base/log.h"

namespace memspy::sampler {
namespace {

using namespace std::chrono_literals;
using attach::FaultKind;
using attach::PerfFaultEvent;
using attach::ThreadOrigin;

constexpr auto kTimer = 50ms;            // budgets are looked at; also a net under lost wake-ups
constexpr auto kSignalCheckPause = 2s;   // a target may install a handler at any time
constexpr auto kIdentifyPause = 1s;
constexpr auto kReleaseTime = 5ms;       // for signals on their way when sampling ends
constexpr int kTornReads = 3;            // attempts at a stack that changes while it is read
constexpr std::uint64_t kFirstKernelPeriod = 1;

// epoll's user data: tids are positive.
constexpr std::uint64_t kWakeKey = 0;
constexpr std::uint64_t kChildSignalKey = ~0ULL;

std::string describe_end(attach::WaitStatus status) {
  if (status.kind() == attach::WaitStatus::Kind::kExited) return "exit " + std::to_string(status.code());
  const char* name = ::sigabbrev_np(status.code());
  return std::string("killed by SIG") + (name != nullptr ? name : std::to_string(status.code()));
}

void watch(int epoll, int fd, std::uint64_t key) {
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.u64 = key;
  ::epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
}

UniqueFd child_signal_fd() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGCHLD);
  return UniqueFd(::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
}

}  // namespace

PageFaultEngine::PageFaultEngine(EngineContext& context)
    : context_(context),
      roster_(context.proc, context.queue, context.start, context.options.assume_minor),
      interner_(context.queue),
      seizure_(context.proc, *this, context.options.subprocesses),
      epoll_(::epoll_create1(EPOLL_CLOEXEC)),
      child_signals_(child_signal_fd()) {
  watch(epoll_.get(), context_.to_tracer.fd(), kWakeKey);
  watch(epoll_.get(), child_signals_.get(), kChildSignalKey);
}

PageFaultEngine::~PageFaultEngine() = default;

Result<Unit> PageFaultEngine::probe(const procfs::ProcDir& proc, Pid pid) {
  MEMSPY_TRY(status, proc.status(pid));
  if (!attach::choose_signal(status)) {
    return make_error(Errc::kUnsupported, "the target catches or blocks SIGURG, SIGWINCH and SIGCHLD");
  }
  MEMSPY_TRY(event, PerfFaultEvent::open(Tid{pid.value}, FaultKind::kSignalled, 1U << 30, SIGURG));
  (void)event;
  return Unit{};
}

Result<Unit> PageFaultEngine::attach(Pid pid, bool awaits_exec) {
  if (awaits_exec) awaiting_exec_.insert(pid);
  return seizure_.seize(pid).context("attaching to process " + std::to_string(pid.value));
}

// --- the tracer's loop ---

void PageFaultEngine::run() {
  sampling_ = true;
  for (const auto& [pid, target] : roster_.processes()) push_edge(*target, WindowEdge::Kind::kBegins);
  for (auto& [tid, thread] : threads_) enable(*thread);
  while (!context_.ending.load(std::memory_order_acquire) && seizure_.thread_count() > 0) {
    wait();
    on_timer();
  }
  release();
}

void PageFaultEngine::wait() {
  std::array<epoll_event, 64> events;
  const int count = ::epoll_wait(epoll_.get(), events.data(), events.size(), static_cast<int>(kTimer / 1ms));
  for (int i = 0; i < count; ++i) {
    const std::uint64_t key = events[static_cast<std::size_t>(i)].data.u64;
    if (key == kWakeKey) {
      context_.to_tracer.clear();
    } else if (key == kChildSignalKey) {
      // Only emptied: waitpid says what happened. Stopped threads come before anything else.
      std::array<signalfd_siginfo, 16> infos;
      while (::read(child_signals_.get(), infos.data(), sizeof(infos)) > 0) {
      }
      seizure_.dispatch();
    } else if (const auto it = threads_.find(Tid{static_cast<pid_t>(key)}); it != threads_.end()) {
      on_kernel_faults(*it->second);
      seizure_.dispatch();
    }
  }
  if (count <= 0) seizure_.dispatch();
}

void PageFaultEngine::on_timer() {
  const auto now = std::chrono::steady_clock::now();
  std::uint64_t largest = 1;
  for (const auto& [pid, target] : roster_.processes()) {
    const auto it = processes_.find(target->index().value);
    if (it == processes_.end()) continue;
    const bool stops = it->second.stops.on_tick(now);
    const bool reads = it->second.kernel_reads.on_tick(now);
    if (stops || reads) set_periods(it->second, *target);
    largest = std::max(largest, it->second.stops.period());
  }
  context_.counters.period.store(largest, std::memory_order_relaxed);
  if (now < next_signal_check_) return;
  next_signal_check_ = now + kSignalCheckPause;
  for (auto& [tid, thread] : threads_) check_signal(*thread);
}

void PageFaultEngine::release() {
  for (auto& [tid, thread] : threads_) {
    if (thread->user) thread->user->disable();
    if (thread->kernel) thread->kernel->disable();
  }
  for (const auto& [pid, target] : roster_.processes()) push_edge(*target, WindowEdge::Kind::kEnds);
  const auto end = std::chrono::steady_clock::now() + kReleaseTime;
  while (std::chrono::steady_clock::now() < end) {
    if (seizure_.dispatch() == 0) std::this_thread::sleep_for(200us);
  }
  threads_.clear();
}

// --- threads come and go ---

Target& PageFaultEngine::target_of(Pid pid, ThreadOrigin origin) {
  if (Target* known = roster_.find_process(pid)) return *known;
  std::optional<Pid> parent;
  if (const auto status = context_.proc.status(pid); status.has_value()) parent = status->ppid;
  Target& target = roster_.process(pid, parent);
  const Budget budget(context_.options.budget_percent, std::chrono::steady_clock::now());
  processes_.emplace(target.index().value, Process{budget, budget});
  Target* forebear = parent ? roster_.find_process(*parent) : nullptr;
  if (origin == ThreadOrigin::kForked && forebear != nullptr) {
    target.inherit(*forebear);
    roster_.announce(target);
  }
  if (sampling_) push_edge(target, WindowEdge::Kind::kBegins);
  context_.to_collector.wake();
  return target;
}

void PageFaultEngine::on_thread_started(Pid pid, Tid tid, ThreadOrigin origin) {
  if (origin == ThreadOrigin::kExeced) awaiting_exec_.erase(pid);
  if (awaiting_exec_.contains(pid)) return;
  auto thread = std::make_unique<Thread>();
  thread->tid = tid;
  thread->target = &target_of(pid, origin);
  thread->index = roster_.thread(*thread->target, tid);
  Thread& added = *thread;
  threads_[tid] = std::move(thread);
  arm(added);
  if (sampling_) enable(added);
}

void PageFaultEngine::on_thread_ended(Pid, Tid tid) {
  threads_.erase(tid);  // closing its descriptors also takes them out of epoll
  roster_.remove_thread(tid);
}

void PageFaultEngine::on_forked(Pid parent, Pid child, bool shares_memory) {
  if (Target* target = roster_.find_process(parent); target != nullptr && !shares_memory) {
    context_.queue.push(ForkNoticed{target->index()});
  }
  if (!shares_memory || !context_.options.subprocesses) return;
  // vfork: until its exec the child is its parent in all but name.
  awaiting_exec_.insert(child);
  threads_.erase(Tid{child.value});
  roster_.remove_process(child);
}

void PageFaultEngine::on_exec(Pid pid) {
  if (Target* target = roster_.find_process(pid)) {
    push_edge(*target, WindowEdge::Kind::kExeced);
    roster_.remove_process(pid);
  }
}

void PageFaultEngine::on_exiting(Pid pid) {
  if (Target* target = roster_.find_process(pid)) push_edge(*target, WindowEdge::Kind::kLeaves);
}

void PageFaultEngine::on_process_ended(Pid pid, attach::WaitStatus status) {
  awaiting_exec_.erase(pid);
  Target* target = roster_.find_process(pid);
  if (target == nullptr) return;
  context_.queue.push(WindowEdge{target->index(), WindowEdge::Kind::kExited, 0, describe_end(status)});
  roster_.remove_process(pid);
  context_.to_collector.wake();
}

void PageFaultEngine::push_edge(const Target& target, WindowEdge::Kind kind, std::string how) {
  const auto statm = context_.proc.statm(target.pid());
  context_.queue.push(
      WindowEdge{target.index(), kind, statm.has_value() ? statm->resident_bytes() : 0, std::move(how)});
}

// --- events of a thread ---

void PageFaultEngine::arm(Thread& thread) {
  const auto status = context_.proc.status(thread.target->pid(), thread.tid);
  const auto signal = status.has_value() ? attach::choose_signal(*status) : std::optional<int>(SIGURG);
  const auto& process = processes_.at(thread.target->index().value);
  const auto kind = signal ? FaultKind::kSignalled : FaultKind::kSilentAll;
  auto event = PerfFaultEvent::open(thread.tid, kind, process.stops.period(), signal.value_or(0));
  if (!event.has_value()) {
    if (event.error().code != Errc::kNoSuchProcess) context_.counters.blind_threads.fetch_add(1);
    return;
  }
  thread.signal = signal.value_or(0);
  if (kind == FaultKind::kSilentAll) {
    thread.kernel = std::move(event).value();
    watch(epoll_.get(), thread.kernel->fd(), static_cast<std::uint64_t>(thread.tid.value));
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
  if (thread.kernel->has_ring()) watch(epoll_.get(), thread.kernel->fd(), static_cast<std::uint64_t>(thread.tid.value));
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
  if (sampling_) enable(thread);
}

void PageFaultEngine::set_periods(Process& process, const Target& target) {
  for (auto& [tid, thread] : threads_) {
    if (thread->target != &target) continue;
    if (thread->user) thread->user->set_period(process.stops.jittered_period());
    if (thread->kernel) thread->kernel->set_period(process.kernel_reads.jittered_period());
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
  if (const auto addresses = thread.user->take_addresses(); !addresses.empty()) pending_.address = addresses.back();
  thread.user->set_period(processes_.at(thread.target->index().value).stops.jittered_period());
  return true;
}

void PageFaultEngine::read_stopped(Thread& thread) {
  auto* reader = thread.target->reader();
  pending_.starting = reader == nullptr;
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
  auto& process = processes_.at(thread.target->index().value);
  if (process.stops.on_stop(now, held, pending_.faults)) set_periods(process, *thread.target);
  push_sample(thread, pending_, false, false);
}

// --- faults inside a system call: the thread goes on, its Python stack does not move ---

void PageFaultEngine::on_kernel_faults(Thread& thread) {
  if (!thread.kernel) return;
  const auto begin = std::chrono::steady_clock::now();
  Pending sample;
  sample.begin = begin;
  const bool whole = read_running(thread);
  auto* reader = thread.target->reader();
  sample.starting = reader == nullptr;
  sample.python = thread.thread_id.has_value();
  sample.readable = whole;
  sample.faults = thread.kernel->take_count();
  if (const auto addresses = thread.kernel->take_addresses(); !addresses.empty()) sample.address = addresses.back();
  if (sample.faults == 0) return;
  const bool late = !still_in_call(thread);
  auto& process = processes_.at(thread.target->index().value);
  const auto now = std::chrono::steady_clock::now();
  if (process.kernel_reads.on_stop(now, now - begin, sample.faults)) set_periods(process, *thread.target);
  push_sample(thread, sample, true, late);
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

// More kernel faults since the stack was read, or blocked in a call: the stack belongs to it.
bool PageFaultEngine::still_in_call(const Thread& thread) const {
  const auto call = context_.proc.syscall(thread.target->pid(), thread.tid);
  return call.has_value() && !call->starts_with("running");
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
  if (sample.starting) {
    target.find_interpreter_soon();
    if (target.has_interpreter()) roster_.announce(target);
    return interner_.marker("[outside Python]");
  }
  if (!sample.python) return interner_.marker("[native thread]");
  if (thread.stack.frames.empty()) return interner_.marker("[outside Python]");
  roster_.name_thread(target, thread.tid, *thread.thread_id);
  return interner_.python_stack(target.index(), *target.reader(), thread.stack);
}

void PageFaultEngine::push_sample(Thread& thread, const Pending& sample, bool in_kernel, bool late) {
  auto& counters = context_.counters;
  counters.samples.fetch_add(1, std::memory_order_relaxed);
  if (in_kernel) counters.kernel_samples.fetch_add(1, std::memory_order_relaxed);
  if (late) counters.late.fetch_add(1, std::memory_order_relaxed);
  if (sample.python && !sample.starting && !sample.readable) {
    counters.rejected.fetch_add(1, std::memory_order_relaxed);
    counters.rejected_faults.fetch_add(sample.faults, std::memory_order_relaxed);
    return;
  }
  const StackId stack = intern(thread, sample);
  context_.queue.push(FaultSample{thread.target->index(), thread.index, stack, sample.address, sample.faults, in_kernel, late});
}

}  // namespace memspy::sampler
