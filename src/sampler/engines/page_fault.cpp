#include "sampler/engines/page_fault.h"

#include <signal.h>

#include <algorithm>
#include <utility>
#include <vector>

namespace memspy::sampler {
namespace {

using namespace std::chrono_literals;
using attach::FaultKind;
using attach::FaultRecord;
using attach::PerfFaultEvent;

constexpr auto kTimer = 50ms;  // budgets are looked at; also a net under lost wake-ups
// Between stacks read beside a thread: ever longer while they lead to nothing.
constexpr std::chrono::nanoseconds kBesidePause = 10ms, kLongestBesidePause = 640ms;
constexpr auto kSignalCheckPause = 2s;  // a target may install a handler at any time
constexpr auto kCommandTime = 4ms;
constexpr std::uint64_t kFirstPeriod = 1;  // a thread's first fault begins its trail
constexpr std::uint64_t kProbePeriod = 1U << 30;

constexpr std::size_t kSignalRing = 4 << 10;   // the last few addresses
constexpr std::size_t kKernelRing = 32 << 10;  // 15 records, and few are outstanding
constexpr std::uint64_t kEagerPhase = 16;  // faults; a thread takes a few before its first frame
constexpr std::size_t kMaxEnded = 256;     // threads that are over and still have records that wait
constexpr auto kKeepEnded = 2s;
// Most threads live short, and a ring costs time.
constexpr std::size_t kNewbornRecords = 32;

}  // namespace

Result<Unit> PageFaultEngine::probe(const procfs::ProcDir& proc, Pid pid) {
  MEMSPY_CHECK(probe_stop_signal(proc, pid));
  MEMSPY_TRY(event, PerfFaultEvent::open(Tid{pid.value}, FaultKind::kSignalled, kProbePeriod,
                                         SIGURG, kSignalRing));
  (void)event;
  return Unit{};
}

PageFaultEngine::Budgets& PageFaultEngine::budgets_of(const Target& target) {
  const auto it = budgets_.find(target.index().value);
  if (it != budgets_.end()) return it->second;
  const auto now = std::chrono::steady_clock::now();
  const Budget fresh(budget_percent_, now, start_savings_.take(now));
  return budgets_.emplace(target.index().value, Budgets{fresh, fresh}).first->second;
}

FaultPlaces& PageFaultEngine::places_of(const Target& target) {
  return places_[target.index().value];
}

void PageFaultEngine::start_thread(Target& target, Tid tid, attach::ThreadOrigin origin) {
  auto thread =
      std::make_unique<Thread>(outlet_, places_of(target), target, tid, roster_.thread(target, tid),
                               intern_record_for(target, tid));
  Thread& added = *thread;
  added.trail.stack_bytes = stack_bytes_for(target);
  threads_[tid] = std::move(thread);
  using Origin = attach::ThreadOrigin;
  const bool newborn = origin == Origin::kCloned || origin == Origin::kForked;
  if (newborn) added.born_with = seizure_.fs_base(tid);
  arm(added, newborn);
  if (!sampling()) return;
  enable(added);
  // It is stopped at its birth anyway. Many threads are over before a stop: the records tell.
  if (newborn)
    follow(added, added.trail, FaultKind::kUserTrail, budgets_of(target).stops, kNewbornRecords);
}

// Closing its descriptors also takes them out of epoll.
void PageFaultEngine::end_thread(Tid tid) {
  const auto it = threads_.find(tid);
  if (it == threads_.end()) return;
  const Target* target = it->second->target;
  // Out of the table first: what its last records lead to may look at all threads there.
  keep_ended(std::move(threads_.extract(it).mapped()));
  natives_.forget_thread(*target, tid);
  const auto of_it = [&](const auto& entry) { return entry.second->target == target; };
  if (std::any_of(threads_.begin(), threads_.end(), of_it)) return;
  give_up_ended([&](const Thread& thread) { return thread.target == target; });
  places_.erase(target->index().value);
  natives_.forget(*target);
  budgets_.erase(target->index().value);
}

void PageFaultEngine::begin() {
  warm_up();
  for (auto& [tid, thread] : threads_) enable(*thread);
}

void PageFaultEngine::cease() {
  for (auto& [tid, thread] : threads_) {
    for (auto* event : thread->events()) {
      if (*event) (*event)->disable();
    }
    flush(*thread);
  }
  give_up_ended([](const Thread&) { return true; });
}

std::chrono::nanoseconds PageFaultEngine::pause() { return kTimer; }

void PageFaultEngine::work() {
  const auto now = std::chrono::steady_clock::now();
  const double thrift = context_.thrift.load(std::memory_order_relaxed);
  for (const auto& [pid, target] : roster_.processes()) {
    Budgets& budgets = budgets_of(*target);
    budgets.stops.set_thrift(thrift);
    budgets.kernel_reads.set_thrift(thrift);
    if (budgets.stops.on_tick(now)) follow_all(budgets, *target);
    budgets.kernel_reads.on_tick(now);
  }
  for (auto& [tid, thread] : threads_) {
    const auto waits = [](const Trail& trail) { return trail.event && trail.event->has_records(); };
    if (waits(thread->trail) || waits(thread->call_trail)) drain(*thread);
  }
  for (const auto& thread : ended_) thread->faults.retry();
  give_up_ended(
      [&](const Thread& thread) { return now > thread.kept_until || !thread.faults.waits(); });
  if (now < next_signal_check_) return;
  next_signal_check_ = now + kSignalCheckPause;
  for (auto& [tid, thread] : threads_) check_signal(*thread);
}

// --- events of a thread ---

void PageFaultEngine::arm(Thread& thread, bool newborn) {
  const auto signal = choose_stop_signal(context_.proc, thread.target->pid(), thread.tid, newborn);
  const auto kind = signal ? FaultKind::kSignalled : FaultKind::kSilentAll;
  // Not each thread's first fault: a server that starts one for each request would stop in all of
  // them, before their first Python frame.
  const std::uint64_t period = newborn && signal ? first_period(*thread.target) : kFirstPeriod;
  auto event = PerfFaultEvent::open(thread.tid, kind, period, signal.value_or(0),
                                    signal ? kSignalRing : kKernelRing);
  if (!event.has_value()) {
    if (event.error().code != Errc::kNoSuchProcess) note_blind(thread);
    return;
  }
  thread.signal.use(signal.value_or(0));
  thread.period = period;
  thread.kernel_period = kFirstPeriod;
  if (kind == FaultKind::kSilentAll) {
    if (!event->has_ring()) return note_blind(thread);
    thread.kernel = std::move(event).value();
    watch(thread.kernel->fd(), static_cast<std::uint64_t>(thread.tid.value));
    return;
  }
  thread.user = std::move(event).value();
  arm_kernel(thread);
}

// While records of such threads wait for their places, the next ones are asked sooner.
std::uint64_t PageFaultEngine::first_period(const Target& target) {
  Budget& stops = budgets_of(target).stops;
  const bool wish = !ended_.empty() && stops.can_hurry();
  return wish ? 1 + stops.phase() % kEagerPhase : stops.phase();
}

void PageFaultEngine::note_blind(Thread& thread) {
  if (!std::exchange(thread.blind, true)) context_.counters.blind_threads.fetch_add(1);
}

void PageFaultEngine::arm_kernel(Thread& thread) {
  if (!kernel_events_) return;
  auto event = PerfFaultEvent::open(thread.tid, FaultKind::kSilent, kFirstPeriod, 0, kKernelRing);
  if (!event.has_value()) {
    // perf_event_paranoid 2: what the kernel touches inside system calls stays unattributed.
    if (event.error().code == Errc::kPermission) kernel_events_ = false;
    return;
  }
  thread.kernel = std::move(event).value();
  if (thread.kernel->has_ring())
    watch(thread.kernel->fd(), static_cast<std::uint64_t>(thread.tid.value));
}

void PageFaultEngine::enable(Thread& thread) {
  if (thread.user) thread.user->enable();
  if (thread.kernel) thread.kernel->enable();
}

void PageFaultEngine::check_signal(Thread& thread) {
  const auto status = context_.proc.status(thread.target->pid(), thread.tid);
  if (!status.has_value() || !thread.signal.outdated(*status, thread.user.has_value())) return;
  flush(thread);
  if (thread.user) thread.signal.retire(thread.user->fd());
  for (auto* event : thread.events()) event->reset();
  arm(thread, false);
  if (sampling()) enable(thread);
}

// --- a fault in user mode: the thread stands still ---

bool PageFaultEngine::on_signal(Pid, Tid tid, const attach::SignalStop& stop) {
  const auto begin = std::chrono::steady_clock::now();
  const auto it = threads_.find(tid);
  if (it == threads_.end() || !it->second->user) return false;
  Thread& thread = *it->second;
  if (!thread.signal.is_of(stop, thread.user->fd())) return false;
  pending_ = Pending{};
  pending_.begin = begin;
  read_stopped(thread);
  if (context_.options.native) pending_.native = natives_.of(*thread.target).take(seizure_, tid);
  if (pending_.readable) {
    pending_.place = pending_.native ? natives_.of(*thread.target).as_record()
                                     : seizure_.place(tid, thread.target->memory());
  }
  pending_.faults = thread.user->take_count();
  thread.user->take_records(
      [this](const FaultRecord& record) { pending_.address = record.address; });
  Budget& stops = budgets_of(*thread.target).stops;
  // Nothing may be missed between this stop and the trail's beginning. A ring of its usual size
  // takes the kernel a millisecond: on_resumed() sees to that.
  if (!thread.trail.event)
    follow(thread, thread.trail, FaultKind::kUserTrail, stops, kNewbornRecords);
  thread.period = thread.faults.much_unknown() ? stops.eager_period() : stops.jittered_period();
  thread.user->set_period(thread.period);
  return true;
}

void PageFaultEngine::read_stopped(Thread& thread) {
  auto* reader = thread.target->reader();
  pending_.outside = reader == nullptr;
  if (reader == nullptr) return;
  const auto python = find_stopped(*thread.target, thread.tid, thread.thread_id);
  pending_.python = python.has_value();
  if (!python) return;
  recognise(thread, python->thread_id);
  const auto deadline = pending_.begin + context_.options.max_pause;
  const auto captured = reader->capture(python->state, thread.stack, deadline);
  pending_.readable = captured.has_value();
  pending_.partial = !captured.has_value() && captured.error().code == Errc::kTimeout;
}

// Its Python state is known: from here on its fault records can be matched.
void PageFaultEngine::recognise(Thread& thread, std::uint64_t thread_id) {
  thread.thread_id = thread_id;
  thread.faults.set_stack_base(thread_id);
  thread.faults.set_reader(thread.target->reader());
}

void PageFaultEngine::on_resumed(Pid, Tid tid) {
  const auto now = std::chrono::steady_clock::now();
  const auto held = now - pending_.begin;
  context_.counters.pauses.add(held);
  Thread& thread = *threads_.at(tid);
  Budgets& budgets = budgets_of(*thread.target);
  if (budgets.stops.on_stop(now, held, pending_.faults)) follow_all(budgets, *thread.target);
  if (pending_.partial) {
    budgets.stops.back_off();
    // Beside the thread there is time for what a first look at its code takes.
    (void)thread.target->read_running(*thread.thread_id, thread.stack);
  }
  using Mode = ThreadFaults::Mode;
  if (rejected(pending_)) {
    thread.faults.set_stack(Mode::kUser, std::nullopt);
  } else {
    const StackId stack = intern(thread, pending_);
    thread.faults.set_stack(Mode::kUser, stack);
    thread.faults.set_address(pending_.address);
    if (pending_.place.code != 0)
      (void)thread.faults.learn(pending_.place, thread.stack, stack, FaultEvidence::kStopped);
  }
  charge(thread, pending_.faults, Moment::kStop);
  // These may read stacks beside the thread, into the place of the one that was stopped at.
  fit_depth(*thread.target);
  // Most commands that a service runs are over by then, and megabytes of ring would cost each of
  // them milliseconds.
  const bool stays = thread.target->has_interpreter() ||
                     std::chrono::steady_clock::now() - thread.seen > kCommandTime;
  if (thread.trail.small && stays) reopen(thread, thread.trail.stack_bytes);
}

// What was counted since the last time; the trail, where there is one, says where.
void PageFaultEngine::charge(Thread& thread, std::uint64_t user_faults, Moment moment) {
  using Mode = ThreadFaults::Mode;
  const auto add = [&](Trail& trail, Mode mode) {
    if (!trail.event) return;
    trail.event->take_records([&](const FaultRecord& record) { thread.faults.add(mode, record); });
  };
  add(thread.trail, Mode::kUser);
  if (thread.faults.has_huge_pages()) budgets_of(*thread.target).stops.expect_huge_pages();
  add(thread.call_trail, Mode::kKernel);
  const std::uint64_t kernel_faults = thread.kernel ? thread.kernel->take_count() : 0;
  const auto settle = [&](Trail& trail, Mode mode, std::uint64_t faults, bool sampled) {
    const std::uint64_t weight = trail.record_weight();
    const bool wait = moment != Moment::kLast && !(sampled && weight > 1);
    thread.faults.settle(mode, faults, wait ? weight : ThreadFaults::kNoTrail);
    trail.settled_period = trail.period;
  };
  settle(thread.trail, Mode::kUser, user_faults, moment == Moment::kStop);
  settle(thread.call_trail, Mode::kKernel, kernel_faults, false);
  budgets_of(*thread.target).kernel_reads.add_faults(kernel_faults);
  if (context_.queue.crowded()) context_.to_collector.wake();
}

// A thread that goes on without a stop: what its trail says so far.
void PageFaultEngine::drain(Thread& thread, Moment moment) {
  // Stops are rare once a start-up has used the savings up, and this costs the target nothing.
  if (moment != Moment::kLast) look_for_interpreter(*thread.target);
  identify(thread);
  charge(thread, take_user_count(thread), moment);
  thread.faults.meet_strangers();
  if (moment == Moment::kLast) return;
  const auto now = std::chrono::steady_clock::now();
  if (thread.faults.take_wish()) {
    hurry(thread);
    thread.beside_pause = kBesidePause;
    thread.next_beside = std::min(thread.next_beside, now + kBesidePause);
  }
  if (now < thread.next_beside || !thread.faults.much_unknown()) return;
  const std::size_t before = thread.faults.waiting();
  learn_beside(thread);
  thread.beside_pause =
      thread.faults.waiting() < before
          ? kBesidePause
          : std::clamp(2 * thread.beside_pause, kBesidePause, kLongestBesidePause);
  thread.next_beside = now + thread.beside_pause;
}

// Faults in user mode that no stop has told the budget of.
std::uint64_t PageFaultEngine::take_user_count(Thread& thread) {
  const std::uint64_t faults = thread.user ? thread.user->take_count() : 0;
  Budgets& budgets = budgets_of(*thread.target);
  if (budgets.stops.add_faults(faults)) follow_all(budgets, *thread.target);
  return faults;
}

// A thread that is over within milliseconds may have touched memory in a place that is not known
// yet: its records go on waiting for a while.
void PageFaultEngine::keep_ended(std::unique_ptr<Thread> thread) {
  drain(*thread, Moment::kLast);
  if (!thread->faults.waits() || !sampling() || ended_.size() >= kMaxEnded)
    return thread->faults.give_up();
  for (auto* event : thread->events()) event->reset();
  thread->kept_until = std::chrono::steady_clock::now() + kKeepEnded;
  ended_.push_back(std::move(thread));
}

void PageFaultEngine::give_up_ended(const std::function<bool(const Thread&)>& which) {
  std::erase_if(ended_, [&](const auto& thread) {
    if (!which(*thread)) return false;
    thread->faults.give_up();
    return true;
  });
}

// What is left of a thread that ends, or when sampling does.
void PageFaultEngine::flush(Thread& thread) {
  drain(thread, Moment::kLast);
  thread.faults.give_up();
}

}  // namespace memspy::sampler
