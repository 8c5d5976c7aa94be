// Engine `bpf`: page faults whose Python stacks a program in the kernel copies out, at the fault.
// No thread stops and nothing is traced: memspy opens an event for each thread, and reads what the
// program left, twenty times a second.
//
// Faults that a new thread takes before memspy has heard of it (a fraction of a millisecond) and
// what is beyond the budget are counted, not recorded: a record stands for those of its thread
// since the one before. What is read of a process is read a moment later: of children and commands
// that are over by then nothing would be known, so that they are engine faults' business.
//
// Why so, with measurements: docs/design/0007-bpf-engine.md.
#pragma once

#include <memory>
#include <optional>
#include <unordered_map>
#include <vector>

#include "attach/bpf_faults.h"
#include "base/unique_fd.h"
#include "cpython/recorded_stack.h"
#include "sampler/engines/bpf_live.h"
#include "sampler/engines/engine.h"
#include "sampler/engines/trap_guard.h"
#include "sampler/roster.h"
#include "sampler/stack_interner.h"
#include "sampler/trail_budget.h"

namespace memspy::sampler {

class BpfEngine final : public Engine {
 public:
  struct Extras {
    bool live = false;     // mode live, with watchpoints beside
    bool guarded = false;  // the target is traced, and what a watchpoint might do to it kept away
  };
  BpfEngine(EngineContext& context, std::unique_ptr<attach::BpfFaults> faults, Extras extras);

  std::string_view name() const override { return "bpf"; }
  Result<Unit> attach(Pid pid, AttachKind kind) override;
  void run(const std::function<void()>& began) override;

 private:
  struct Thread {
    Target* target = nullptr;
    ThreadIndex index;
    std::optional<StackId> stack;  // of its last record
    std::uint64_t charged = 0;     // faults of records that were taken
    RemoteAddr newest;             // the address of the last one
    SteadyTime young_until{};      // of one that has just begun
  };
  struct Process {
    Process(Target& of, double budget_percent)
        : target(&of), budget(budget_percent, std::chrono::steady_clock::now()) {}
    Target* target;
    UniqueFd pidfd;
    TrailBudget budget;
    bool watched = false;  // the program knows of it…
    bool planned = false;  // …and how to follow its stacks
    std::int64_t awaited = 0;
    std::string end = "ended";  // how
  };

  void start_process(Pid pid, const std::optional<TrailBudget>& spent);
  static std::optional<memspy_bpf_walk> walk_of(const Target& target);
  void plan(Process& process);
  void start_thread(Process& process, Tid tid, bool newborn = false);
  void end_thread(Tid tid);
  void end_threads_of(const Target& target);
  void end_process(Pid pid);

  void wait();
  void work();
  void take_records();
  void take(const attach::BpfFaults::Record& record);
  void on_fault(const attach::BpfFaults::Record& record);
  void on_write(const attach::BpfFaults::Record& record);
  void on_forked(const memspy_bpf_record& record);
  void on_execed(Pid pid);
  void on_exited(const memspy_bpf_record& record);
  void give_up_process(Pid pid);
  void set_periods(const Process& process);
  bool find_threads(Process& process);
  void tell_awaited();
  void release();

  std::optional<StackId> stack_of(Thread& thread, Tid tid, const attach::BpfFaults::Record& record);
  bool decode(Target& target, const attach::BpfFaults::Record& record);
  void push(const Thread& thread, StackId stack, RemoteAddr address, std::uint64_t faults,
            bool in_kernel);
  void watch(int fd, std::uint64_t key);

  EngineContext& context_;
  Roster roster_;
  StackInterner interner_;
  std::unique_ptr<attach::BpfFaults> faults_;
  std::optional<TrapGuard> guard_;
  std::optional<BpfLive> live_;
  double fault_percent_;  // of each process' time
  std::unordered_map<Pid, std::unique_ptr<Process>> processes_;
  std::unordered_map<Tid, Thread> threads_;
  UniqueFd epoll_;
  SteadyTime next_scan_{}, next_sum_{}, next_round_{};
  bool sampling_ = false;
  cpython::RawStack raw_;                         // of the record at hand
  std::vector<cpython::RecordedFrame> recorded_;  // the same as it came
};

}  // namespace memspy::sampler
