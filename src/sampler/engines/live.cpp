#include "sampler/engines/live.h"

#include <signal.h>

#include <algorithm>
#include <utility>

#include "sampler/engines/trap_guard.h"

namespace memspy::sampler {
namespace {

using namespace std::chrono_literals;
using attach::PerfWatch;
using cpython::BlockContent;

// Of the budget; the rest is LivePrices'.
constexpr double kFaultShare = 0.2;
// A thread is held and woken, and memspy reads a stack.
constexpr LivePrices kPrices{.write = 120e-6,
                             .birth = 100e-6,
                             .writes_share = 0.15,
                             .sweeps_share = 0.1,
                             .rounds_share = 0.15,
                             .births_share = 0.1};
constexpr auto kSignalCheckPause = 2s;  // a target may install a handler at any time

}  // namespace

LiveEngine::LiveEngine(EngineContext& context)
    : PageFaultEngine(context, kFaultShare), rounds_(context, roster_, interner_, *this, kPrices) {}

Result<Unit> LiveEngine::probe(const procfs::ProcDir& proc, Pid pid) {
  MEMSPY_CHECK(PageFaultEngine::probe(proc, pid));
  auto watch = PerfWatch::open(Tid{pid.value}, SIGURG);
  if (watch.has_value()) return Unit{};
  return no_watchpoints(std::move(watch).error());
}

Error no_watchpoints(Error error) {
  // Python is not at fault.
  if (error.code == Errc::kUnsupported) error.code = Errc::kInternal;
  error.why = "--mode live watches memory with hardware watchpoints, as perf events" +
              (error.why.empty() ? "" : ": " + error.why);
  error.hint =
      "they may be taken by a debugger, or this (virtual) machine has none; --mode growth does not "
      "need them";
  return error;
}

void LiveEngine::start_thread(Target& target, Tid tid, attach::ThreadOrigin origin) {
  PageFaultEngine::start_thread(target, tid, origin);
  if (pending_.thread == rounds_.find(tid)) pending_ = {};
  WatchedThread& thread = rounds_.add_thread(target, tid);
  // Others from the next round on.
  if (sampling() && origin == attach::ThreadOrigin::kCloned) rounds_.welcome(thread);
}

void LiveEngine::end_thread(Tid tid) {
  PageFaultEngine::end_thread(tid);
  if (pending_.thread == rounds_.find(tid)) pending_ = {};
  rounds_.end_thread(tid);
}

void LiveEngine::open(WatchedThread& thread, bool newborn) {
  const auto signal = choose_stop_signal(context_.proc, thread.target->pid(), thread.tid, newborn);
  if (!signal) return;
  for (std::size_t i = 0; i < kWatches; ++i) {
    auto watch = PerfWatch::open(thread.tid, *signal);
    if (!watch.has_value()) break;  // a debugger has some of them: the rest will do
    thread.watches.push_back(std::move(watch).value());
  }
  thread.signal.use(*signal);
  thread.refused = thread.watches.empty();
}

void LiveEngine::check_signals() {
  for (auto& [tid, thread] : rounds_.threads()) {
    if (thread->watches.empty()) continue;
    const auto status = context_.proc.status(thread->target->pid(), tid);
    if (!status.has_value() || !thread->signal.outdated(*status, true)) continue;
    for (const PerfWatch& watch : thread->watches) thread->signal.retire(watch.fd());
    thread->watches.clear();
  }
}

// --- a watched block is written to: the thread stands still ---

bool LiveEngine::is_ours(const WatchedThread& thread, const attach::SignalStop& stop) {
  return thread.signal.is_of(stop, -1) ||
         std::any_of(thread.watches.begin(), thread.watches.end(),
                     [&](const PerfWatch& watch) { return thread.signal.is_of(stop, watch.fd()); });
}

// One signal may stand for several events: all watches are asked, and where the signal is of none
// of them, the engine below.
bool LiveEngine::on_signal(Pid pid, Tid tid, const attach::SignalStop& stop) {
  // Of a watch of ours, whose reason a hypervisor has lost: it ends here, not the target.
  if (is_lost_exception(stop)) return true;
  const auto begin = std::chrono::steady_clock::now();
  pending_ = {};
  WatchedThread* found = rounds_.find(tid);
  if (found == nullptr) return PageFaultEngine::on_signal(pid, tid, stop);
  WatchedThread& thread = *found;
  take_writes(thread);
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

void LiveEngine::take_writes(WatchedThread& thread) {
  BlockContent* content = rounds_.content_of(*thread.target);
  for (std::size_t i = 0; content != nullptr && i < thread.watches.size(); ++i) {
    if (thread.watches[i].take_count() == 0) continue;
    if (const auto block = rounds_.watched_block(*thread.target, i))
      pending_.writes.emplace_back(i, content->judge(*block));
  }
}

void LiveEngine::read_stack(WatchedThread& thread) {
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
  if (stop.writes.empty()) return;
  const auto owner = owner_of(stop);
  const bool collecting = stop.readable && stack_.collecting;
  for (const auto& [slot, write] : stop.writes)
    rounds_.on_write(*stop.thread->target, slot, write, collecting, owner, now);
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

void LiveEngine::work() {
  PageFaultEngine::work();
  const auto now = std::chrono::steady_clock::now();
  if (now >= next_signal_check_) {
    next_signal_check_ = now + kSignalCheckPause;
    check_signals();
  }
  next_round_ = rounds_.work(now);
}

std::chrono::nanoseconds LiveEngine::pause() {
  const auto left = next_round_ - std::chrono::steady_clock::now();
  return std::clamp<std::chrono::nanoseconds>(left, 0ns, PageFaultEngine::pause());
}

void LiveEngine::cease() {
  rounds_.cease_watching();
  PageFaultEngine::cease();
  rounds_.look_last();
}

}  // namespace memspy::sampler
