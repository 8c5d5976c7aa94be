// Seizure: all threads of a process held at once.
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/user.h>

#include <algorithm>
#include <cerrno>
#include <string>
#include <utility>
#include <vector>

#include "attach/ptrace_call.h"
#include "attach/seizure.h"
#include "attach/signal_choice.h"

namespace memspy::attach {
namespace {

using SteadyClock = std::chrono::steady_clock;

// A process that makes threads faster than they are found: those of threads already held cannot.
constexpr int kMaxHoldPasses = 64;

}  // namespace

// True when the thread belongs to the process that is held: it stays where it is.
bool Seizure::keep_held(Tid tid, Held how) {
  if (hold_ == nullptr || tracees_.at(tid) != hold_->pid) return false;
  auto [it, fresh] = hold_->threads.try_emplace(tid, how);
  if (!fresh && it->second == Held::kAwaited && call_was_cut(tid)) ++hold_->cut_calls;
  it->second = how;
  return true;
}

// Stopped on its way out of a system call that returns EINTR: those that the kernel restarts
// return other codes, which never leave it.
bool Seizure::call_was_cut(Tid tid) const {
  user_regs_struct registers{};
  if (trace(PTRACE_GETREGS, tid, 0, reinterpret_cast<unsigned long>(&registers)) != 0) return false;
  const auto call = static_cast<long long>(registers.orig_rax);
  const auto result = static_cast<long long>(registers.rax);
  return call >= 0 && result == -EINTR;
}

// A signal that the kernel would not have delivered to a thread that is not traced.
bool Seizure::ignores(Tid tid, int signal) const {
  const auto status = proc_.status(tracees_.at(tid), tid);
  if (!status.has_value() || status->sig_caught.contains(signal)) return false;
  const bool by_default =
      signal == SIGCHLD || signal == SIGURG || signal == SIGWINCH || signal == SIGCONT;
  return by_default || status->sig_ignored.contains(signal);
}

// Asks about every thread that is neither held nor about to be. Returns how many it interrupted or
// found new.
Result<std::size_t> Seizure::hold_pass() {
  std::size_t changes = 0;
  MEMSPY_TRY(threads, proc_.threads(hold_->pid));
  for (const Tid tid : threads) {
    const auto known = hold_->threads.find(tid);
    if (known != hold_->threads.end() && known->second != Held::kLeftAlone) continue;
    if (!tracees_.contains(tid)) {
      MEMSPY_TRY(seized, seize_thread(hold_->pid, tid));
      if (!seized) continue;  // it has ended, or its birth is about to be reported
    }
    const bool fresh = known == hold_->threads.end();
    const Held before = fresh ? Held::kLeftAlone : known->second;
    const Held now = ask_to_stop(tid);
    hold_->threads[tid] = now;
    if (fresh || now != before) ++changes;
  }
  return changes;
}

Seizure::Held Seizure::ask_to_stop(Tid tid) {
  const Stoppable how = (*hold_->ask)(tid);
  if (how == Stoppable::kNot) return Held::kLeftAlone;
  if (how == Stoppable::kComputing && stop_by_clock(tid)) return Held::kClocked;
  return interrupt(tid) ? Held::kAwaited : Held::kLeftAlone;
}

// False: it has ended, which will be reported.
bool Seizure::interrupt(Tid tid) { return trace(PTRACE_INTERRUPT, tid, 0, 0) == 0; }

// False: perf is refused, its signals would not arrive, or the thread handles all that could be
// used.
bool Seizure::stop_by_clock(Tid tid) {
  const auto tracee = tracees_.find(tid);
  if (tracee == tracees_.end()) return false;
  const auto status = proc_.status(tracee->second, tid);
  const auto signal =
      status.has_value() && perf_signals_reach(*status) ? choose_signal(*status) : std::nullopt;
  if (!signal) return false;
  if (const auto armed = clocks_.find(tid); armed != clocks_.end()) {
    armed->second.rearm();
    return true;
  }
  auto clock = ClockStop::arm(tid, *signal);
  if (!clock.has_value()) return false;
  clocks_.emplace(tid, std::move(clock).value());
  return true;
}

// One that has not fired is kept, to know its signal should that be on its way.
void Seizure::forget_clock(Tid tid, bool fired) {
  const auto clock = clocks_.find(tid);
  if (clock == clocks_.end()) return;
  if (fired) {
    clocks_.erase(clock);
  } else {
    clock->second.disarm();
  }
}

bool Seizure::is_clock(Tid tid, const SignalStop& stop) const {
  const auto it = clocks_.find(tid);
  return it != clocks_.end() && it->second.signal() == stop.signal && stop.is_of(it->second.fd());
}

bool Seizure::clock_is_late(Tid tid) const {
  const auto clock = clocks_.find(tid);
  return clock == clocks_.end() || clock->second.time_run() >= kClockPatience;
}

// Threads that were about to block when their clock was set are asked again; those that have
// computed all the same are interrupted.
void Seizure::review_clocks() {
  std::vector<Tid> clocked;
  for (const auto& [tid, held] : hold_->threads)
    if (held == Held::kClocked) clocked.push_back(tid);
  for (const Tid tid : clocked) {
    const Stoppable how = (*hold_->ask)(tid);
    if (how == Stoppable::kComputing && !clock_is_late(tid)) continue;
    // A thread that has just stopped looks like one that has blocked.
    while (wait_once()) {
    }
    const auto entry = hold_->threads.find(tid);
    if (entry == hold_->threads.end() || entry->second != Held::kClocked) continue;
    forget_clock(tid, false);
    const bool interrupted = how != Stoppable::kNot && interrupt(tid);
    entry->second = interrupted ? Held::kAwaited : Held::kLeftAlone;
  }
}

// Until every thread that was asked to stop has, or `end`.
void Seizure::await_stops(SteadyClock::time_point end) {
  const auto any = [&](Held how) {
    return std::any_of(hold_->threads.begin(), hold_->threads.end(),
                       [&](const auto& entry) { return entry.second == how; });
  };
  auto review = SteadyClock::now() + kClockReview;
  while (any(Held::kAwaited) || any(Held::kClocked)) {
    if (wait_once()) continue;
    const auto now = SteadyClock::now();
    if (now >= end) break;
    if (now >= review) {
      review_clocks();
      review = SteadyClock::now() + kClockReview;
    }
    await_event(any(Held::kClocked) ? std::min(end, review) : end);
  }
  // Computing inside the kernel: nothing says that it will not go on with its program.
  for (auto& [tid, held] : hold_->threads) {
    if (held != Held::kClocked) continue;
    forget_clock(tid, false);
    held = Held::kLeftAlone;
  }
}

Result<std::size_t> Seizure::hold_all(SteadyClock::time_point end) {
  std::size_t changes = 0;
  for (int pass = 0; pass < kMaxHoldPasses; ++pass) {
    MEMSPY_TRY(more, hold_pass());
    changes += more;
    await_stops(end);
    while (wait_once()) {
    }
    if (more == 0 || SteadyClock::now() >= end) break;
  }
  return changes;
}

void Seizure::release_all() {
  for (const auto& [tid, held] : hold_->threads) {
    if (held == Held::kStopped) resume(tid);
    if (held == Held::kJobStopped) trace(PTRACE_LISTEN, tid, 0, 0);
  }
}

Result<HoldReport> Seizure::with_all_held(Pid pid, std::chrono::nanoseconds deadline,
                                          const Ask& ask, const std::function<void()>& body) {
  MEMSPY_CHECK(seize(pid));
  Hold hold{pid, &ask, {}, 0};
  hold_ = &hold;
  const auto begin = SteadyClock::now();
  const auto all = hold_all(begin + deadline);
  const bool any = all.has_value() && !hold.threads.empty();
  if (any) body();
  release_all();
  HoldReport report;
  report.held_for = SteadyClock::now() - begin;
  hold_ = nullptr;
  report.threads = static_cast<std::uint32_t>(hold.threads.size());
  for (const auto& [tid, held] : hold.threads) report.held += held == Held::kLeftAlone ? 0 : 1;
  report.cut_calls = hold.cut_calls;
  dispatch();  // what a clock has sent meanwhile is known as its own
  clocks_.clear();
  if (!all.has_value()) return all.error();
  if (!any) {
    return make_error(Errc::kTargetGone, "process " + std::to_string(pid.value) + " has ended");
  }
  return report;
}

std::size_t Seizure::held_count() const {
  return static_cast<std::size_t>(
      std::count_if(hold_->threads.begin(), hold_->threads.end(),
                    [](const auto& entry) { return entry.second != Held::kLeftAlone; }));
}

std::size_t Seizure::hold_more(std::chrono::nanoseconds deadline) {
  if (hold_ == nullptr) return 0;
  while (wait_once()) {
  }
  const std::size_t before = held_count();
  static_cast<void>(hold_all(SteadyClock::now() + deadline));
  const std::size_t now = held_count();
  return now - std::min(now, before);
}

std::vector<Tid> Seizure::left_alone() const {
  std::vector<Tid> tids;
  if (hold_ == nullptr) return tids;
  for (const auto& [tid, held] : hold_->threads)
    if (held == Held::kLeftAlone) tids.push_back(tid);
  return tids;
}

}  // namespace memspy::attach
