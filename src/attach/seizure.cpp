#include "attach/seizure.h"

#include <signal.h>
#include <sys/ptrace.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cassert>
#include <cerrno>
#include <cstddef>
#include <span>
#include <utility>
#include <vector>

#include "attach/denial.h"
#include "attach/ptrace_call.h"

namespace memspy::attach {
namespace {

// Never PTRACE_O_EXITKILL: memspy is a guest.
constexpr long kOptions =
    PTRACE_O_TRACECLONE | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACEEXEC;
// Only the main thread reports its exit: it is the last look at a process' memory, and a program
// that starts and ends threads all the time need not pay for it.
constexpr long kMainThreadOptions = kOptions | PTRACE_O_TRACEEXIT;

// New threads can be born while the list is read; a target that makes them faster than this is
// caught through the clone events of those already held.
constexpr int kMaxSeizePasses = 64;

constexpr std::chrono::nanoseconds kLongestSleep = std::chrono::milliseconds(2);

using SteadyClock = std::chrono::steady_clock;

long options_for(Pid pid, Tid tid) {
  return tid.value == pid.value ? kMainThreadOptions : kOptions;
}

timespec to_timespec(std::chrono::nanoseconds d) {
  return {static_cast<time_t>(d.count() / 1'000'000'000),
          static_cast<long>(d.count() % 1'000'000'000)};
}

}  // namespace

bool SignalStop::is_of(int file) const {
  return fd == file && (code == POLL_IN || code == POLL_HUP || code == SI_SIGIO);
}

void Seizure::check_thread() const { assert(owner_ == std::this_thread::get_id()); }

Result<Unit> Seizure::seize(Pid pid) {
  check_thread();
  for (int pass = 0; pass < kMaxSeizePasses; ++pass) {
    MEMSPY_TRY(found, seize_pass(pid));
    if (!found) break;
  }
  return Unit{};
}

// True when a thread was found that was not held before.
Result<bool> Seizure::seize_pass(Pid pid) {
  MEMSPY_TRY(threads, proc_.threads(pid));
  bool found = false;
  for (const Tid tid : threads) {
    if (tracees_.contains(tid)) continue;
    MEMSPY_TRY(seized, seize_thread(pid, tid));
    found = found || seized;
  }
  if (tracees_.empty()) {
    return make_error(Errc::kNoSuchProcess,
                      "no thread of process " + std::to_string(pid.value) + " is left");
  }
  return found;
}

Result<bool> Seizure::seize_thread(Pid pid, Tid tid) {
  if (trace(PTRACE_SEIZE, tid, 0, static_cast<unsigned long>(options_for(pid, tid))) != 0) {
    const int err = errno;
    if (err == ESRCH) return false;  // it ended meanwhile
    // A thread born of one we hold is ours already: its birth stop is on the way.
    const auto status = proc_.status(pid, tid);
    if (err == EPERM && status.has_value() && status->tracer == Pid{::gettid()}) return false;
    // It is ending: gone by now, or a main thread that ends before its process does.
    const bool gone = !status.has_value() && status.error().code == Errc::kNoSuchProcess;
    if (err == EPERM && (gone || (status.has_value() && status->zombie()))) return false;
    Error refused =
        make_error(Errc::kPermission, "cannot attach to thread " + std::to_string(tid.value), err);
    if (!status.has_value()) return refused;
    if (const auto obstacle = find_obstacle(gather_access_facts(proc_, pid, *status))) {
      refused.why = obstacle->why;
      refused.hint = obstacle->remedy;
    }
    return refused;
  }
  tracees_.emplace(tid, pid);
  observer_.on_thread_started(pid, tid, ThreadOrigin::kSeized);
  return true;
}

std::size_t Seizure::dispatch() {
  check_thread();
  std::size_t handled = 0;
  while (wait_once()) ++handled;
  return handled;
}

// A signal on its way to the program is only looked at (WNOWAIT). To wait for its stop would take
// it out of the thread's hands until PTRACE_CONT gives it back, and were memspy killed in between
// the program would never see it.
bool Seizure::wait_once() {
  siginfo_t info{};
  // __WNOTHREAD: what other threads of memspy have started is theirs to wait for.
  constexpr int kAll = WEXITED | WSTOPPED | WNOHANG | __WALL | __WNOTHREAD;
  if (::waitid(P_ALL, 0, &info, kAll | WNOWAIT) != 0 || info.si_pid == 0) return false;
  const Tid tid{info.si_pid};
  const bool event = (info.si_status >> 8) != 0;
  if (info.si_code == CLD_TRAPPED && !event) {
    handle_signal(tid, info.si_status);
    return true;
  }
  int raw = 0;
  if (::waitpid(tid.value, &raw, __WALL | WNOHANG | __WNOTHREAD) > 0) handle(tid, WaitStatus(raw));
  return true;
}

void Seizure::handle(Tid tid, WaitStatus status) {
  using Kind = WaitStatus::Kind;
  switch (status.kind()) {
    case Kind::kExited:
    case Kind::kKilled:
      return handle_end(tid, status);
    case Kind::kInterrupted:
      return handle_interrupted(tid);
    case Kind::kEvent:
      return handle_event(tid, status.code());
    case Kind::kGroupStop:
      return handle_group_stop(tid);
    case Kind::kSignalStop:
      return handle_signal(tid, status.code());
  }
}

// PTRACE_LISTEN leaves the thread stopped, as job control wants it, and tells us when it goes on.
void Seizure::handle_group_stop(Tid tid) {
  if (!tracees_.contains(tid)) handle_birth(tid);
  if (!tracees_.contains(tid) || keep_held(tid, Held::kJobStopped)) return;
  trace(PTRACE_LISTEN, tid, 0, 0);
}

void Seizure::handle_interrupted(Tid tid) {
  if (!tracees_.contains(tid)) {
    handle_birth(tid);
    if (tracees_.contains(tid) && !keep_held(tid, Held::kStopped)) resume(tid);
    return;
  }
  stopped_as_asked(tid);
}

void Seizure::stopped_as_asked(Tid tid) {
  if (keep_held(tid, Held::kStopped)) return;
  if (interruption_ != nullptr && interruption_->tid == tid && !interruption_->done) {
    const auto begin = std::chrono::steady_clock::now();
    (*interruption_->body)();
    resume(tid);
    interruption_->held = std::chrono::steady_clock::now() - begin;
    interruption_->done = true;
    return;
  }
  resume(tid);
}

// The first stop of a thread that a tracee has made; it may come before the parent's own event.
void Seizure::handle_birth(Tid tid) {
  Pid pid{tid.value};
  if (const auto status = proc_.status(Pid{tid.value}); status.has_value()) pid = status->tgid;
  const bool new_process = pid.value == tid.value;
  if (new_process && !follow_children_) {
    trace(PTRACE_DETACH, tid, 0, 0);  // it is stopped here anyway
    return;
  }
  trace(PTRACE_SETOPTIONS, tid, 0, static_cast<unsigned long>(options_for(pid, tid)));
  tracees_.emplace(tid, pid);
  observer_.on_thread_started(pid, tid,
                              new_process ? ThreadOrigin::kForked : ThreadOrigin::kCloned);
}

void Seizure::handle_event(Tid tid, int event) {
  const auto it = tracees_.find(tid);
  if (it == tracees_.end()) {
    resume(tid);
    return;
  }
  if (event == PTRACE_EVENT_EXEC) {
    handle_exec(tid);
  } else if (event == PTRACE_EVENT_EXIT) {
    observer_.on_exiting(it->second);
  } else {
    handle_parenthood(tid, event);
  }
  resume(tid);
}

void Seizure::handle_parenthood(Tid parent, int event) {
  if (event != PTRACE_EVENT_FORK && event != PTRACE_EVENT_VFORK) return;
  unsigned long child = 0;
  if (trace(PTRACE_GETEVENTMSG, parent, 0, reinterpret_cast<unsigned long>(&child)) != 0) return;
  observer_.on_forked(tracees_.at(parent), Pid{static_cast<pid_t>(child)},
                      event == PTRACE_EVENT_VFORK);
}

// The kernel gives the surviving thread the main thread's id and ends all others without a word.
void Seizure::handle_exec(Tid tid) {
  const Pid pid = tracees_.at(tid);
  std::vector<Tid> gone;
  for (const auto& [other, owner] : tracees_) {
    if (owner == pid) gone.push_back(other);
  }
  for (const Tid other : gone) {
    if (other != tid) tracees_.erase(other);
    clocks_.erase(other);
    if (other != tid && hold_ != nullptr) hold_->threads.erase(other);
    observer_.on_thread_ended(pid, other);
  }
  observer_.on_exec(pid);
  observer_.on_thread_started(pid, tid, ThreadOrigin::kExeced);
}

void Seizure::handle_end(Tid tid, WaitStatus status) {
  if (interruption_ != nullptr && interruption_->tid == tid) interruption_->gone = true;
  if (hold_ != nullptr) hold_->threads.erase(tid);
  const auto it = tracees_.find(tid);
  if (it == tracees_.end()) return;
  const Pid pid = it->second;
  tracees_.erase(it);
  clocks_.erase(tid);
  observer_.on_thread_ended(pid, tid);
  // The main thread's end is reported last, when every other thread is gone.
  if (tid.value == pid.value) observer_.on_process_ended(pid, status);
}

// The signal is still the thread's: whatever happens to memspy now, it is delivered.
void Seizure::handle_signal(Tid tid, int signal) {
  siginfo_t info{};
  const auto it = tracees_.find(tid);
  if (it == tracees_.end() || ::ptrace(PTRACE_GETSIGINFO, tid.value, nullptr, &info) != 0) {
    resume(tid, signal);
    return;
  }
  const SignalStop stop{signal, info.si_code, info.si_fd};
  if (is_clock(tid, stop)) {
    clocks_.erase(tid);  // it fires once
    // Ours to take away; it may stay stopped for long, and is not to be seen again.
    int raw = 0;
    ::waitpid(tid.value, &raw, __WALL | WNOHANG | __WNOTHREAD);
    return stopped_as_asked(tid);
  }
  if (hold_ != nullptr && ignores(tid, signal) && call_was_cut(tid)) ++hold_->cut_calls;
  const Pid pid = it->second;
  const bool ours = observer_.on_signal(pid, tid, stop);
  resume(tid, ours ? 0 : signal);
  if (ours) observer_.on_resumed(pid, tid);
}

// ESRCH means that it was killed while stopped; its end will be reported.
void Seizure::resume(Tid tid, int signal) const {
  trace(PTRACE_CONT, tid, 0, static_cast<unsigned long>(signal));
}

// Until SIGCHLD, or `end`. In short turns: where a thread of the embedder does not block SIGCHLD,
// that thread may take it.
void Seizure::await_event(std::chrono::steady_clock::time_point end) {
  sigset_t child_signal;
  sigemptyset(&child_signal);
  sigaddset(&child_signal, SIGCHLD);
  const std::chrono::nanoseconds left = end - std::chrono::steady_clock::now();
  if (left <= std::chrono::nanoseconds::zero()) return;
  const timespec timeout = to_timespec(std::min(left, kLongestSleep));
  ::sigtimedwait(&child_signal, nullptr, &timeout);
}

// Neither on a processor nor waiting for one, nor at a stop that is about to be reported.
bool Seizure::has_blocked(Tid tid) const {
  const auto tracee = tracees_.find(tid);
  if (tracee == tracees_.end()) return false;
  const auto stat = proc_.stat(tracee->second, tid);
  return stat.has_value() && stat->state != 'R' && stat->state != 't';
}

// Clocked first; a clock that does not fire although the thread computes is no use here.
Seizure::Outcome Seizure::await_stop(Interruption& asked, SteadyClock::time_point end) {
  bool clocked = stop_by_clock(asked.tid);
  if (!clocked && !interrupt(asked.tid)) return Outcome::kGone;
  for (;;) {
    if (asked.done) return Outcome::kStopped;
    if (asked.gone) return Outcome::kGone;
    if (wait_once()) continue;
    const auto now = SteadyClock::now();
    if (now >= end) return Outcome::kLate;
    if (clocked && has_blocked(asked.tid)) return Outcome::kBlocked;
    if (clocked && clock_is_late(asked.tid)) clocked = !interrupt(asked.tid);
    await_event(clocked ? std::min(end, now + kClockReview) : end);
  }
}

Result<std::optional<std::chrono::nanoseconds>> Seizure::with_stopped(
    Tid tid, std::chrono::nanoseconds deadline, const std::function<void()>& body) {
  check_thread();
  Interruption asked{tid, &body, false, false, {}};
  interruption_ = &asked;
  const Outcome outcome = await_stop(asked, SteadyClock::now() + deadline);
  interruption_ = nullptr;
  forget_clock(tid, outcome == Outcome::kStopped);
  // SIGCHLD is told once for all stops since.
  while (wait_once()) {
  }
  switch (outcome) {
    case Outcome::kStopped:
      return std::optional(asked.held);
    case Outcome::kBlocked:
      return std::optional<std::chrono::nanoseconds>();
    case Outcome::kGone:
      return make_error(Errc::kTargetGone, "thread " + std::to_string(tid.value) + " has ended");
    case Outcome::kLate:
      break;
  }
  return make_error(Errc::kTimeout,
                    "thread " + std::to_string(tid.value) + " did not stop in time");
}

std::optional<std::uint64_t> Seizure::fs_base(Tid tid) const {
  errno = 0;
  const long value = trace(PTRACE_PEEKUSER, tid, offsetof(user_regs_struct, fs_base), 0);
  if (errno != 0) return std::nullopt;
  return static_cast<std::uint64_t>(value);
}

std::optional<Seizure::AllRegisters> Seizure::registers(Tid tid) const {
  user_regs_struct r{};
  if (trace(PTRACE_GETREGS, tid, 0, reinterpret_cast<unsigned long>(&r)) != 0) return std::nullopt;
  return AllRegisters{r.rax, r.rdx, r.rcx, r.rbx, r.rsi, r.rdi, r.rbp, r.rsp, r.r8,
                      r.r9,  r.r10, r.r11, r.r12, r.r13, r.r14, r.r15, r.rip};
}

FaultRecord Seizure::place(Tid tid, const MemoryReader& memory) const {
  user_regs_struct registers{};
  FaultRecord record;
  if (trace(PTRACE_GETREGS, tid, 0, reinterpret_cast<unsigned long>(&registers)) != 0)
    return record;
  record.argument = registers.rdi;
  record.stack = registers.rsp;
  record.code = registers.rip;
  std::vector<std::uint64_t> words = {registers.rbx, registers.rbp, registers.r12,
                                      registers.r13, registers.r14, registers.r15};
  words.resize(kFaultRegisters + kMostStackBytes / sizeof(std::uint64_t));
  const auto stack = std::as_writable_bytes(std::span(words).subspan(kFaultRegisters));
  words.resize(kFaultRegisters + memory.read_some({record.stack}, stack) / sizeof(std::uint64_t));
  record.words = FaultWords(std::move(words));
  return record;
}

}  // namespace memspy::attach
