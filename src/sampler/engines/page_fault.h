// Engine `faults`: each thread's page faults, delivered synchronously. At every Nth fault the kernel
// sends the faulting thread a signal before it goes back to user mode; the tracer finds it stopped at
// the instruction that touches the page, reads its Python stack and swallows the signal. Faults taken
// inside system calls come from a second event that sends nothing: the tracer is woken, and reads the
// stack while the call goes on.
//
// Why so and not otherwise, with measurements: docs/design/0001-page-fault-engine.md.
#pragma once

#include <memory>
#include <unordered_map>
#include <unordered_set>

#include "attach/perf_fault_event.h"
#include "attach/seizure.h"
#include "base/unique_fd.h"
#include "sampler/budget.h"
#include "sampler/engines/engine.h"
#include "sampler/roster.h"
#include "sampler/stack_interner.h"

namespace memspy::sampler {

class PageFaultEngine final : public Engine, private attach::TraceeObserver {
 public:
  explicit PageFaultEngine(EngineContext& context);
  ~PageFaultEngine() override;

  std::string_view name() const override { return "faults"; }
  Result<Unit> attach(Pid pid, bool awaits_exec) override;
  void run() override;

  // Can it work on this process? An error says why not.
  static Result<Unit> probe(const procfs::ProcDir& proc, Pid pid);

 private:
  struct Thread {
    Tid tid;
    Target* target = nullptr;
    ThreadIndex index;
    int signal = 0;
    std::optional<attach::PerfFaultEvent> user, kernel;
    std::optional<std::uint64_t> thread_id;  // pthread_self()
    SteadyTime next_identification{};
    cpython::RawStack stack;
  };
  struct Process {
    Budget stops;         // of faults in user mode
    Budget kernel_reads;  // of stacks read beside system calls: they cost memspy's own time only
  };
  // A stop whose stack was read and whose thread runs again.
  struct Pending {
    SteadyTime begin;
    std::uint64_t faults = 0;
    RemoteAddr address;
    bool readable = false;
    bool python = false;
    bool starting = false;
  };

  void on_thread_started(Pid pid, Tid tid, attach::ThreadOrigin origin) override;
  void on_thread_ended(Pid pid, Tid tid) override;
  void on_forked(Pid parent, Pid child, bool shares_memory) override;
  void on_exec(Pid pid) override;
  void on_exiting(Pid pid) override;
  void on_process_ended(Pid pid, attach::WaitStatus status) override;
  bool on_signal(Pid pid, Tid tid, const attach::SignalStop& stop) override;
  void on_resumed(Pid pid, Tid tid) override;

  Target& target_of(Pid pid, attach::ThreadOrigin origin);
  void arm(Thread& thread);
  void arm_kernel(Thread& thread);
  void read_stopped(Thread& thread);
  void on_kernel_faults(Thread& thread);
  bool read_running(Thread& thread);
  bool still_in_call(const Thread& thread) const;
  void identify(Thread& thread);
  void push_sample(Thread& thread, const Pending& sample, bool in_kernel, bool late);
  StackId intern(Thread& thread, const Pending& sample);
  void set_periods(Process& process, const Target& target);
  void on_timer();
  void check_signal(Thread& thread);
  void push_edge(const Target& target, WindowEdge::Kind kind, std::string how = {});
  void enable(Thread& thread);
  void wait();
  void release();

  EngineContext& context_;
  Roster roster_;
  StackInterner interner_;
  attach::Seizure seizure_;
  UniqueFd epoll_, child_signals_;
  std::unordered_map<Tid, std::unique_ptr<Thread>> threads_;
  std::unordered_map<std::uint32_t, Process> processes_;  // by process index
  std::unordered_set<Pid> awaiting_exec_;
  Pending pending_;
  bool kernel_events_ = true;
  bool sampling_ = false;
  SteadyTime next_signal_check_{};
};

}  // namespace memspy::sampler
