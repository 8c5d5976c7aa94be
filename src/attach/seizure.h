// Every ptrace and wait call of memspy. A Seizure holds processes by PTRACE_SEIZE, follows their
// threads (and children), and tells an observer what happens to them.
//
// Guest manners (docs/architecture.md): SEIZE and INTERRUPT only; no EXITKILL, no SIGSTOP; a signal
// of the target is passed on untouched; a job-stopped target stays stopped (PTRACE_LISTEN). One
// thread makes every call on one Seizure: ptrace belongs to the thread that seized. When that
// thread ends the kernel lets every tracee go without stopping it.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <thread>
#include <unordered_map>
#include <vector>

#include "attach/clock_stop.h"
#include "attach/fault_record.h"
#include "attach/restarts.h"
#include "attach/wait_status.h"
#include "memspy/address.h"
#include "memspy/memory_reader.h"
#include "memspy/result.h"
#include "procfs/proc_dir.h"

namespace memspy::attach {

struct SignalStop {
  int signal = 0;
  int code = 0;  // si_code
  int fd = -1;   // si_fd, for signals of file descriptors
  // Sent because of the descriptor `file`?
  bool is_of(int file) const;
};

enum class ThreadOrigin { kSeized, kCloned, kForked, kExeced };

// Called on the tracer thread while the thread named is in a ptrace stop, except where said: what
// these do is time that the target stands still.
class TraceeObserver {
 public:
  virtual ~TraceeObserver() = default;
  // kSeized: the thread is not stopped.
  virtual void on_thread_started(Pid pid, Tid tid, ThreadOrigin origin) = 0;
  // The thread is gone.
  virtual void on_thread_ended(Pid pid, Tid tid) = 0;
  // The parent is stopped; the child, if followed, comes as a thread of its own, before or after
  // this. `shares_memory`: vfork or posix_spawn, until the child's exec.
  virtual void on_forked(Pid parent, Pid child, bool shares_memory) = 0;
  // A new program; every other thread of the process has been reported as ended.
  virtual void on_exec(Pid pid) = 0;
  // The main thread is about to leave: its memory can be read for the last time.
  virtual void on_exiting(Pid pid) = 0;
  // The process is gone.
  virtual void on_process_ended(Pid pid, WaitStatus status) = 0;
  // True: the signal was memspy's own and is swallowed; on_resumed follows as soon as the thread
  // runs again.
  virtual bool on_signal(Pid pid, Tid tid, const SignalStop& stop) = 0;
  virtual void on_resumed(Pid pid, Tid tid) = 0;
};

// One with_all_held(), as it went.
struct HoldReport {
  std::chrono::nanoseconds held_for{};  // from the first interrupt to the last resumption
  std::uint32_t threads = 0;            // of the process
  std::uint32_t held = 0;               // at the end
  // System calls that were ended with EINTR all the same: of threads that entered one between the
  // question what they are blocked in and the interrupt; and by signals that the program ignores
  // (SIGCHLD, mostly), which the kernel delivers where a thread is traced. While the thread that
  // such a signal is meant for is held, it goes to another one.
  std::uint32_t cut_calls = 0;
};

class Seizure {
 public:
  // `follow_children`: processes that a tracee forks are kept too; else they are let go before
  // their first instruction.
  Seizure(const procfs::ProcDir& proc, TraceeObserver& observer, bool follow_children)
      : proc_(proc), observer_(observer), follow_children_(follow_children) {}
  Seizure(const Seizure&) = delete;
  Seizure& operator=(const Seizure&) = delete;

  // Seizes every thread until a full pass finds no new one; nothing is stopped.
  // kPermission (also when somebody else traces it), kNoSuchProcess.
  Result<Unit> seize(Pid pid);

  // Handles what has happened since, without blocking. Returns the number of events handled.
  std::size_t dispatch();

  // Stops a thread that computes, calls `body` while it is stopped, resumes it; how long that took.
  // nullopt: it has blocked instead, and stands where it is. Other events are handled meanwhile.
  // kTimeout: it did not stop before the deadline; should it stop later it is resumed at once.
  // kTargetGone: it ended.
  Result<std::optional<std::chrono::nanoseconds>> with_stopped(Tid tid,
                                                               std::chrono::nanoseconds deadline,
                                                               const std::function<void()>& body);

  // Holds every thread of `pid` that `ask` calls stoppable, calls `body`, resumes them. New threads
  // are held from birth on; a job-stopped thread is held, and stays stopped afterwards. One that
  // was interrupted and does not stop before the deadline counts as held: it does when it next
  // runs; one that computes inside the kernel for so long counts as left alone. Processes that were
  // not seized before are. kNoSuchProcess, kPermission as for seize; kTargetGone: no thread is
  // left.
  using Ask = std::function<Stoppable(Tid)>;
  Result<HoldReport> with_all_held(Pid pid, std::chrono::nanoseconds deadline, const Ask& ask,
                                   const std::function<void()>& body);
  // Inside of that body: asks again about the threads that were left alone, and for new ones.
  // Returns how many are held now that were not.
  std::size_t hold_more(std::chrono::nanoseconds deadline);
  std::vector<Tid> left_alone() const;  // inside of that body

  // Registers of a stopped thread: the thread pointer, which is pthread_self() on x86-64.
  std::optional<std::uint64_t> fs_base(Tid tid) const;
  // All of them, as DWARF numbers them: rax, rdx, rcx, rbx, rsi, rdi, rbp, rsp, r8 to r15, rip.
  using AllRegisters = std::array<std::uint64_t, 17>;
  std::optional<AllRegisters> registers(Tid tid) const;
  // …and what a fault record of the greatest depth would hold of it. Zeros when the registers
  // cannot be read.
  FaultRecord place(Tid tid, const MemoryReader& memory) const;

  bool traced(Tid tid) const { return tracees_.contains(tid); }
  std::size_t thread_count() const { return tracees_.size(); }

 private:
  // A clock fires within 10 us of user mode; after kClockReview it is asked whether its thread
  // still computes, and once that one has run for kClockPatience it is not relied on. On a busy
  // machine a thread may not run at all for that long, and be interrupted in the call it then
  // enters.
  static constexpr std::chrono::microseconds kClockReview{300}, kClockPatience{20'000};

  // What with_all_held() knows of the threads that it has asked about.
  enum class Held {
    kAwaited,  // interrupted
    kClocked,  // it will stop when it computes
    kStopped,
    kJobStopped,
    kLeftAlone
  };

  Result<bool> seize_pass(Pid pid);
  Result<bool> seize_thread(Pid pid, Tid tid);
  bool wait_once();
  void handle(Tid tid, WaitStatus status);
  void handle_event(Tid tid, int event);
  void handle_interrupted(Tid tid);
  void handle_birth(Tid tid);
  void handle_parenthood(Tid parent, int event);
  void handle_exec(Tid tid);
  void handle_end(Tid tid, WaitStatus status);
  void handle_signal(Tid tid, int signal);
  void handle_group_stop(Tid tid);
  void resume(Tid tid, int signal = 0) const;
  void check_thread() const;
  bool has_blocked(Tid tid) const;
  bool interrupt(Tid tid);
  void await_event(std::chrono::steady_clock::time_point end);
  bool keep_held(Tid tid, Held how);
  void stopped_as_asked(Tid tid);
  bool stop_by_clock(Tid tid);
  void forget_clock(Tid tid, bool fired);
  bool is_clock(Tid tid, const SignalStop& stop) const;
  void review_clocks();
  bool clock_is_late(Tid tid) const;
  std::size_t held_count() const;
  Held ask_to_stop(Tid tid);
  Result<std::size_t> hold_pass();
  void await_stops(std::chrono::steady_clock::time_point end);
  Result<std::size_t> hold_all(std::chrono::steady_clock::time_point end);
  void release_all();
  bool call_was_cut(Tid tid) const;
  bool ignores(Tid tid, int signal) const;

  const procfs::ProcDir& proc_;
  TraceeObserver& observer_;
  bool follow_children_;
  std::thread::id owner_ = std::this_thread::get_id();
  std::unordered_map<Tid, Pid> tracees_;
  std::unordered_map<Tid, ClockStop> clocks_;  // that have not fired yet

  // The stop that with_stopped() waits for.
  struct Interruption {
    Tid tid;
    const std::function<void()>* body;
    bool done = false;
    bool gone = false;
    std::chrono::nanoseconds held{};
  };
  Interruption* interruption_ = nullptr;
  enum class Outcome { kStopped, kBlocked, kGone, kLate };
  Outcome await_stop(Interruption& asked, std::chrono::steady_clock::time_point end);

  struct Hold {
    Pid pid;
    const Ask* ask;
    std::unordered_map<Tid, Held> threads;
    std::uint32_t cut_calls = 0;
  };
  Hold* hold_ = nullptr;
};

}  // namespace memspy::attach
