// Seizure: all threads of a process held at once.
#include <sys/ptrace.h>
#include <sys/user.h>

#include <cerrno>
#include <string>

#include "attach/ptrace_call.h"
#include "attach/seizure.h"

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
    const bool interrupt = (*hold_->may_interrupt)(tid);
    if (interrupt && trace(PTRACE_INTERRUPT, tid, 0, 0) != 0) continue;  // it has ended
    hold_->threads[tid] = interrupt ? Held::kAwaited : Held::kLeftAlone;
    if (fresh || interrupt) ++changes;
  }
  return changes;
}

Result<std::size_t> Seizure::hold_all(SteadyClock::time_point end) {
  std::size_t changes = 0;
  for (int pass = 0; pass < kMaxHoldPasses; ++pass) {
    MEMSPY_TRY(more, hold_pass());
    changes += more;
    const auto awaited = [&] {
      for (const auto& [tid, held] : hold_->threads)
        if (held == Held::kAwaited) return true;
      return false;
    };
    while (awaited()) {
      if (wait_once()) continue;
      if (SteadyClock::now() >= end) return changes;
      await_event(end);
    }
    while (wait_once()) {
    }
    if (more == 0) break;
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
                                          const std::function<bool(Tid)>& may_interrupt,
                                          const std::function<void()>& body) {
  MEMSPY_CHECK(seize(pid));
  Hold hold{pid, &may_interrupt, {}, 0};
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
  dispatch();
  if (!all.has_value()) return all.error();
  if (!any) {
    return make_error(Errc::kTargetGone, "process " + std::to_string(pid.value) + " has ended");
  }
  return report;
}

std::size_t Seizure::hold_more(std::chrono::nanoseconds deadline) {
  if (hold_ == nullptr) return 0;
  while (wait_once()) {
  }
  return hold_all(SteadyClock::now() + deadline).value_or(0);
}

std::vector<Tid> Seizure::left_alone() const {
  std::vector<Tid> tids;
  if (hold_ == nullptr) return tids;
  for (const auto& [tid, held] : hold_->threads)
    if (held == Held::kLeftAlone) tids.push_back(tid);
  return tids;
}

}  // namespace memspy::attach
