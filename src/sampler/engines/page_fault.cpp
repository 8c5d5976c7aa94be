#include "sampler/engines/page_fault.h"

#include <signal.h>

#include <algorithm>
#include <array>
#include <sstream>
#include <vector>

#include "attach/signal_choice.h"

namespace memspy::sampler {
namespace {

using namespace std::chrono_literals;
using attach::FaultKind;
using attach::PerfFaultEvent;

constexpr auto kTimer = 50ms;           // budgets are looked at; also a net under lost wake-ups
constexpr auto kSignalCheckPause = 2s;  // a target may install a handler at any time
constexpr auto kIdentifyPause = 1s;
constexpr std::size_t kMaxPlaces = 2048;
constexpr double kTrailRate = 12'000;   // records a second and thread; each costs the target about 0.4 µs
constexpr std::uint64_t kFirstKernelPeriod = 1;
constexpr std::uint64_t kProbePeriod = 1U << 30;

std::uint64_t place_key(const attach::FaultRecord& place) {
  std::uint64_t key = place.code * 0x9e3779b97f4a7c15ULL;
  key = (key ^ place.stack) * 0xff51afd7ed558ccdULL;
  return key ^ key >> 29;
}

// What `records` say of one place: how often, and the newest page.
struct PlaceCount {
  attach::FaultRecord newest;
  std::uint64_t count = 0;
};

std::vector<PlaceCount> count_places(std::span<const attach::FaultRecord> records) {
  std::vector<PlaceCount> places;
  std::unordered_map<std::uint64_t, std::size_t> index;
  for (const auto& record : records) {
    const auto [it, fresh] = index.try_emplace(place_key(record), places.size());
    if (fresh) places.emplace_back();
    places[it->second].newest = record;
    ++places[it->second].count;
  }
  return places;
}

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

std::optional<StackId> PageFaultEngine::Places::find(const attach::FaultRecord& place) const {
  const auto it = stacks_.find(place_key(place));
  return it == stacks_.end() ? std::nullopt : std::optional(it->second);
}

std::optional<FaultSample> PageFaultEngine::Places::learn(const attach::FaultRecord& place, StackId stack) {
  if (stacks_.size() >= kMaxPlaces) stacks_.clear();  // rare; it is learnt again within seconds
  const std::uint64_t key = place_key(place);
  stacks_.insert_or_assign(key, stack);
  const auto it = waiting_.find(key);
  if (it == waiting_.end()) return std::nullopt;
  FaultSample sample = it->second;
  waiting_.erase(it);
  sample.stack = stack;
  return sample;
}

void PageFaultEngine::Places::wait(const attach::FaultRecord& place, const FaultSample& doubtful) {
  const auto [it, fresh] = waiting_.try_emplace(place_key(place), doubtful);
  if (fresh) return;
  it->second.faults += doubtful.faults;
  it->second.address = doubtful.address;
}

std::vector<FaultSample> PageFaultEngine::Places::give_up() {
  std::vector<FaultSample> samples;
  for (auto& [key, sample] : waiting_) {
    sample.late = true;
    samples.push_back(sample);
  }
  waiting_.clear();
  return samples;
}

PageFaultEngine::Budgets& PageFaultEngine::budgets_of(const Target& target) {
  const auto it = budgets_.find(target.index().value);
  if (it != budgets_.end()) return it->second;
  const Budget fresh(context_.options.budget_percent, std::chrono::steady_clock::now());
  return budgets_.emplace(target.index().value, Budgets{fresh, fresh}).first->second;
}

void PageFaultEngine::start_thread(Target& target, Tid tid, attach::ThreadOrigin origin) {
  auto thread = std::make_unique<Thread>();
  thread->tid = tid;
  thread->target = &target;
  thread->index = roster_.thread(target, tid);
  Thread& added = *thread;
  threads_[tid] = std::move(thread);
  arm(added, origin == attach::ThreadOrigin::kCloned);
  if (sampling()) enable(added);
}

// Closing its descriptors also takes them out of epoll.
void PageFaultEngine::end_thread(Tid tid) {
  const auto it = threads_.find(tid);
  if (it == threads_.end()) return;
  flush(*it->second);
  threads_.erase(it);
}

void PageFaultEngine::begin() {
  for (auto& [tid, thread] : threads_) enable(*thread);
}

void PageFaultEngine::cease() {
  for (auto& [tid, thread] : threads_) {
    if (thread->user) thread->user->disable();
    if (thread->kernel) thread->kernel->disable();
    flush(*thread);
  }
}

std::chrono::nanoseconds PageFaultEngine::pause() { return kTimer; }

void PageFaultEngine::work() {
  const auto now = std::chrono::steady_clock::now();
  std::uint64_t largest = 1;
  for (const auto& [pid, target] : roster_.processes()) {
    Budgets& budgets = budgets_of(*target);
    if (budgets.stops.on_tick(now)) follow_all(budgets, *target);
    budgets.kernel_reads.on_tick(now);
    largest = std::max(largest, budgets.stops.period());
  }
  context_.counters.period.store(largest, std::memory_order_relaxed);
  if (now < next_signal_check_) return;
  next_signal_check_ = now + kSignalCheckPause;
  for (auto& [tid, thread] : threads_) check_signal(*thread);
}

// --- events of a thread ---

void PageFaultEngine::arm(Thread& thread, bool newborn) {
  auto status = context_.proc.status(thread.target->pid(), thread.tid);
  // The C library blocks every signal in a thread until it has set it up: that will pass.
  if (newborn && status.has_value()) status->sig_blocked = {};
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

// A handler installed since would be run by our signal, were memspy to die; a signal blocked since
// would not come.
void PageFaultEngine::check_signal(Thread& thread) {
  const auto status = context_.proc.status(thread.target->pid(), thread.tid);
  if (!status.has_value()) return;
  const bool fits = thread.user ? attach::signal_free(*status, thread.signal) : !attach::choose_signal(*status);
  if (fits) return;
  flush(thread);
  thread.user.reset();
  thread.trail.reset();
  thread.kernel.reset();
  arm(thread, false);
  if (sampling()) enable(thread);
}

// The periods themselves change at each thread's own next sample. Setting the period of a thread that
// is not stopped makes its very next fault a sample: that one would be chosen by the clock and not by
// the faults, and carry the weight of all that came before it.
void PageFaultEngine::follow_all(const Budgets& budgets, const Target& target) {
  for (auto& [tid, thread] : threads_) {
    if (thread->target == &target && thread->user && sampling()) follow(*thread, budgets.stops);
  }
}

// Between two stops the trail tells where the faults were taken; needed when not every fault stops.
void PageFaultEngine::follow(Thread& thread, const Budget& stops) {
  if (stops.period() <= 1) {
    thread.trail.reset();
    return;
  }
  // Odd, so that it does not beat with buffers of 2^n pages.
  const auto period = static_cast<std::uint64_t>(stops.fault_rate() / kTrailRate) | 1;
  if (period >= stops.period()) {
    thread.trail.reset();
  } else if (thread.trail) {
    thread.trail->set_period(period);
  } else if (auto trail = PerfFaultEvent::open(thread.tid, FaultKind::kTrail, period, 0); trail.has_value()) {
    thread.trail = std::move(trail).value();
    thread.trail->enable();
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
  read_stopped(thread);
  if (thread.trail) {
    const auto place = seizure_.place(tid);
    pending_.place = {{}, 0, place.stack, place.code};
  }
  pending_.faults = thread.user->take_count();
  if (const auto records = thread.user->take_records(); !records.empty()) pending_.address = records.back().address;
  thread.user->set_period(budgets_of(*thread.target).stops.jittered_period());
  return true;
}

void PageFaultEngine::read_stopped(Thread& thread) {
  auto* reader = thread.target->reader();
  pending_.outside = reader == nullptr;
  if (reader == nullptr) return;
  // Kept only once it has led to a Python state: a program that is starting has no thread pointer yet.
  const auto thread_id = thread.thread_id ? thread.thread_id : seizure_.fs_base(thread.tid);
  const RemoteAddr state = thread_id ? reader->find_thread_state(*thread_id) : RemoteAddr{};
  pending_.python = static_cast<bool>(state);
  if (!state) return;
  thread.thread_id = thread_id;
  pending_.readable = reader->capture(state, thread.stack).has_value();
}

void PageFaultEngine::on_resumed(Pid, Tid tid) {
  const auto now = std::chrono::steady_clock::now();
  const auto held = now - pending_.begin;
  context_.counters.pauses.add(held);
  Thread& thread = *threads_.at(tid);
  Budgets& budgets = budgets_of(*thread.target);
  if (budgets.stops.on_stop(now, held, pending_.faults)) follow_all(budgets, *thread.target);
  context_.counters.samples.fetch_add(1, std::memory_order_relaxed);
  const auto records = thread.trail ? thread.trail->take_records() : std::span<const attach::FaultRecord>{};
  if (rejected(pending_)) return;
  const StackId stack = intern(thread, pending_);
  thread.last = stack;
  if (thread.trail) (void)thread.places.learn(pending_.place, stack);
  charge(thread.places, records,
         {thread.target->index(), thread.index, stack, pending_.address, pending_.faults, false, false});
}

void PageFaultEngine::push(const FaultSample& sample) {
  if (sample.late) context_.counters.late.fetch_add(1, std::memory_order_relaxed);
  if (sample.faults > 0) context_.queue.push(sample);
}

// Shares the faults of a sample out to the places where they were taken. What was taken at a place
// never sampled goes to the sample's own stack, as everything would without a trail.
void PageFaultEngine::charge(const Places& places, std::span<const attach::FaultRecord> records,
                             const FaultSample& now) {
  FaultSample rest = now;
  for (const PlaceCount& place : count_places(records)) {
    const auto stack = places.find(place.newest);
    if (!stack || *stack == now.stack) continue;
    FaultSample part = now;
    part.stack = *stack;
    part.address = place.newest.address;
    part.faults = std::min(rest.faults, now.faults * place.count / records.size());
    rest.faults -= part.faults;
    push(part);
  }
  push(rest);
}

// What is left of a thread that ends, or when sampling does: the faults since its last sample, and
// those whose call was never caught in progress.
void PageFaultEngine::flush(Thread& thread) {
  FaultSample sample{thread.target->index(), thread.index, {}, {}, 0, false, false};
  if (thread.user && thread.last) {
    const auto records = thread.trail ? thread.trail->take_records() : std::span<const attach::FaultRecord>{};
    sample.stack = *thread.last;
    sample.faults = thread.user->take_count();
    charge(thread.places, records, sample);
  }
  if (thread.kernel && thread.last_call) {
    sample.stack = *thread.last_call;
    sample.in_kernel = true;
    sample.faults = thread.kernel->take_count();
    charge_calls(thread, thread.kernel->take_records(), sample, false);
  }
  for (const FaultSample& doubtful : thread.calls.give_up()) push(doubtful);
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
  budgets.kernel_reads.on_stop(now, now - sample.begin, sample.faults);
  if (budgets.kernel_reads.period() != thread.kernel_period) {
    thread.kernel_period = budgets.kernel_reads.period();
    thread.kernel->set_period(budgets.kernel_reads.jittered_period());
  }
  context_.counters.samples.fetch_add(1, std::memory_order_relaxed);
  context_.counters.kernel_samples.fetch_add(1, std::memory_order_relaxed);
  if (rejected(sample)) return;
  const StackId stack = intern(thread, sample);
  thread.last_call = stack;
  charge_calls(thread, records, {thread.target->index(), thread.index, stack, {}, sample.faults, true, false}, confirmed);
}

// The faults since the last wake-up may be of several calls. Those of a call that was once caught in
// progress are charged to its stack, the others wait until it is.
void PageFaultEngine::charge_calls(Thread& thread, std::span<const attach::FaultRecord> records, const FaultSample& now,
                                   bool confirmed) {
  FaultSample rest = now;
  if (records.empty()) {
    rest.late = !confirmed;
    push(rest);
    return;
  }
  if (confirmed) {
    if (const auto waited = thread.calls.learn(records.back(), now.stack)) push(*waited);
  }
  const auto places = count_places(records);
  for (const PlaceCount& place : places) {
    const bool last = &place == &places.back();
    FaultSample part = now;
    part.address = place.newest.address;
    part.faults = last ? rest.faults : std::min(rest.faults, now.faults * place.count / records.size());
    rest.faults -= part.faults;
    const auto stack = thread.calls.find(place.newest);
    part.stack = stack.value_or(now.stack);
    if (stack) {
      push(part);
    } else {
      thread.calls.wait(place.newest, part);
    }
  }
}

bool PageFaultEngine::read_running(Thread& thread) {
  identify(thread);
  return thread.thread_id && thread.target->read_running(*thread.thread_id, thread.stack);
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
