#include "sampler/engines/poll.h"

#include <algorithm>

#include "base/duration.h"
#include "base/thread_cpu.h"

namespace memspy::sampler {
namespace {

using namespace std::chrono_literals;

constexpr auto kLongestInterval = 1s;

}  // namespace

PollEngine::PollEngine(EngineContext& context)
    : TracingEngine(context), random_(std::random_device{}()) {}

void PollEngine::start_thread(Target& target, Tid tid, attach::ThreadOrigin) {
  Thread thread;
  thread.tid = tid;
  thread.target = &target;
  thread.index = roster_.thread(target, tid);
  const auto stat = context_.proc.stat(target.pid(), tid);
  if (stat.has_value()) thread.last_faults = stat->minor_faults;
  threads_[tid] = std::move(thread);
}

void PollEngine::begin() { next_look_ = std::chrono::steady_clock::now(); }

std::chrono::nanoseconds PollEngine::pause() {
  return std::max<std::chrono::nanoseconds>(next_look_ - std::chrono::steady_clock::now(), 0ns);
}

void PollEngine::work() {
  if (std::chrono::steady_clock::now() < next_look_) return;
  // No part of what a look costs: it is done once, and its price would put off the next look of a
  // program that is starting by a second.
  for (const auto& [pid, target] : roster_.processes()) look_for_interpreter(*target);
  const auto begin = thread_cpu();
  held_ = 0ns;
  std::vector<Pid> pids;  // a process may end while it is looked at
  for (const auto& [pid, target] : roster_.processes()) pids.push_back(pid);
  for (const Pid pid : pids) {
    if (Target* target = roster_.find_process(pid)) look(*target);
  }
  schedule(thread_cpu() - begin + held_);
}

// Uniform in half to one and a half times the interval, so that looks do not beat with the target's
// own rhythm; slower where looking is dear.
void PollEngine::schedule(std::chrono::nanoseconds price) {
  const double share =
      context_.options.budget_percent / 100 * context_.thrift.load(std::memory_order_relaxed);
  const auto affordable = earned_by(price, share);
  const auto interval = std::clamp<std::chrono::nanoseconds>(
      affordable, context_.options.poll_interval, kLongestInterval);
  if (interval > context_.options.poll_interval) context_.counters.late_looks.fetch_add(1);
  std::uniform_real_distribution<double> jitter(0.5, 1.5);
  next_look_ = std::chrono::steady_clock::now() +
               std::chrono::nanoseconds(static_cast<std::int64_t>(
                   static_cast<double>(interval.count()) * jitter(random_)));
}

void PollEngine::look(Target& target) {
  const Pid pid = target.pid();
  const ProcessIndex index = target.index();
  std::vector<Tid> tids;
  for (auto& [tid, thread] : threads_) {
    if (thread.target == &target) tids.push_back(tid);
  }
  for (const Tid tid : tids) {
    const auto it = threads_.find(tid);
    if (it != threads_.end()) look_at_thread(it->second);
  }
  // Where a thread was stopped, others may have been heard of: an exec makes it another process.
  const Target* still = roster_.find_process(pid);
  if (still == nullptr || still->index() != index) return;
  const auto statm = context_.proc.statm(target.pid());
  if (!statm.has_value()) return;
  const auto [known, first] =
      resident_pages_.try_emplace(target.index().value, statm->resident_pages);
  const std::uint64_t before = std::exchange(known->second, statm->resident_pages);
  if (!first && statm->resident_pages > before) charge(target, statm->resident_pages - before);
  for (auto& [tid, thread] : threads_) {
    if (thread.target != &target) continue;
    std::swap(thread.now, thread.before);
    thread.has_before = thread.has_now;
    thread.last_faults = thread.faults;
  }
}

// A blocked thread does not move: it is read where it stands (docs/architecture.md, guest manners).
void PollEngine::look_at_thread(Thread& thread) {
  const Tid tid = thread.tid;
  const auto stat = context_.proc.stat(thread.target->pid(), tid);
  if (!stat.has_value()) return;
  thread.faults = stat->minor_faults;
  thread.has_now = false;
  thread.missed = Missed::kNothing;
  if (!thread.thread_id) thread.thread_id = thread.target->find_thread_id(tid);
  const auto no_hurry = SteadyTime::max();
  if (stat->state != 'R') {
    read_stack(thread, no_hurry);
    if (thread.missed == Missed::kNothing) return;  // else it has just been woken
  }
  // Beside its running where two reads agree; a stop only where they do not, and only if it still
  // runs: whoever blocks in between would see an interrupted call.
  thread.has_now = thread.thread_id && thread.target->read_running(*thread.thread_id, thread.now);
  if (thread.has_now) {
    thread.missed = Missed::kNothing;
    return;
  }
  const auto again = context_.proc.stat(thread.target->pid(), tid);
  if (!again.has_value()) return;
  if (again->state != 'R') return read_stack(thread, no_hurry);
  std::chrono::nanoseconds computed{};  // in the stop: it is in the time of the stop as well
  const auto held = seizure_.with_stopped(tid, context_.options.max_pause, [&] {
    const auto it = threads_.find(tid);
    if (it == threads_.end()) return;
    const auto begin = thread_cpu();
    Thread& stopped = it->second;
    if (!stopped.thread_id) {
      if (const auto python = find_stopped(*stopped.target, tid))
        stopped.thread_id = python->thread_id;
    }
    read_stack(stopped, std::chrono::steady_clock::now() + context_.options.max_pause);
    computed = thread_cpu() - begin;
  });
  if (!held.has_value()) return;
  if (*held) {
    held_ += **held - computed;
    return context_.counters.pauses.add(**held);
  }
  if (const auto it = threads_.find(tid); it != threads_.end()) read_stack(it->second, no_hurry);
}

void PollEngine::read_stack(Thread& thread, SteadyTime deadline) {
  auto* reader = thread.target->reader();
  if (reader == nullptr || !thread.thread_id) return;
  const RemoteAddr state = reader->find_thread_state(*thread.thread_id);
  if (!state) return;
  const auto captured = reader->capture(state, thread.now, deadline);
  thread.has_now = captured.has_value();
  if (thread.has_now) {
    thread.missed = Missed::kNothing;
  } else {
    const bool late = captured.error().code == Errc::kTimeout;
    thread.missed = late ? Missed::kLate : Missed::kUnreadable;
  }
}

void PollEngine::charge(Target& target, std::uint64_t pages) {
  std::uint64_t faults = 0;
  for (const auto& [tid, thread] : threads_) {
    if (thread.target == &target) faults += thread.faults - thread.last_faults;
  }
  if (faults == 0) return;
  std::uint64_t left = pages, faults_left = faults;
  for (auto& [tid, thread] : threads_) {
    const std::uint64_t own = thread.faults - thread.last_faults;
    if (thread.target != &target || own == 0) continue;
    // What is left by what is left: the parts add up exactly.
    const auto part = static_cast<std::uint64_t>(
        static_cast<double>(left) * static_cast<double>(own) / static_cast<double>(faults_left));
    left -= part;
    faults_left -= own;
    if (thread.missed != Missed::kNothing) {  // counted, and unattributed
      auto& counters = context_.counters;
      (thread.missed == Missed::kLate ? counters.partial : counters.rejected).fetch_add(1);
      continue;
    }
    const StackId stack = common_stack(thread);
    context_.counters.samples.fetch_add(1, std::memory_order_relaxed);
    if (part > 0)
      context_.queue.push(FaultSample{target.index(), thread.index, stack, {}, part, false, false});
  }
}

// The frames that stood at both looks. In the innermost of them the line may have moved on: then it
// stands without a line.
StackId PollEngine::common_stack(Thread& thread) {
  Target& target = *thread.target;
  if (target.reader() == nullptr) return interner_.marker("[outside Python]");
  if (!thread.thread_id || !thread.has_now) return interner_.marker("[native thread]");
  if (thread.now.frames.empty()) return interner_.marker("[outside Python]");
  roster_.name_thread(target, thread.tid, *thread.thread_id);
  if (!thread.has_before)
    return interner_.python_stack(target.index(), *target.reader(), thread.now);
  const auto& now = thread.now.frames;
  const auto& before = thread.before.frames;
  std::size_t common = 0;
  bool moved = false;
  while (common < now.size() && common < before.size() && !moved) {
    const auto& a = now[now.size() - 1 - common];
    const auto& b = before[before.size() - 1 - common];
    if (a.frame != b.frame || a.code != b.code) break;
    moved = a.instruction != b.instruction;
    ++common;
  }
  if (common == 0) return interner_.python_stack(target.index(), *target.reader(), thread.now);
  return interner_.python_prefix(target.index(), *target.reader(), std::span(now).last(common),
                                 moved);
}

}  // namespace memspy::sampler
