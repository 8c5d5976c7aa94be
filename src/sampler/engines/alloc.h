// Engine `clock`, of `--mode alloc`: a clock of each thread's CPU time stops the thread now and
// then, in user mode, between two instructions. A stop that finds it in an allocator is a sample:
// of its Python stack, and of as much time as the clock had been set to. Every other one says that
// so much time went elsewhere. What is measured is time, and nothing here makes bytes of it.
//
// Why so and not otherwise: docs/design/0008-time-spent-allocating.md.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <unordered_map>
#include <utility>
#include <vector>

#include "attach/perf_clock.h"
#include "sampler/alloc/allocator_code.h"
#include "sampler/alloc/code_search.h"
#include "sampler/alloc/tick_budget.h"
#include "sampler/engines/tracing_engine.h"
#include "sampler/stop_signal.h"

namespace memspy::sampler {

class AllocEngine final : public TracingEngine {
 public:
  explicit AllocEngine(EngineContext& context);
  ~AllocEngine() override;

  std::string_view name() const override { return "clock"; }

  // Can it work on this process? An error says why not.
  static Result<Unit> probe(const procfs::ProcDir& proc, Pid pid);

 protected:
  void start_thread(Target& target, Tid tid, attach::ThreadOrigin origin) override;
  void end_thread(Tid tid) override;
  void begin() override;
  void work() override;
  std::chrono::nanoseconds pause() override;
  void on_readable(std::uint64_t) override {}
  void cease() override;
  bool on_signal(Pid pid, Tid tid, const attach::SignalStop& stop) override;
  void on_resumed(Pid pid, Tid tid) override;

 private:
  struct Thread {
    Tid tid;
    Target* target = nullptr;
    ThreadIndex index;
    std::optional<attach::PerfClock> clock;
    StopSignal signal;
    std::chrono::nanoseconds weight{};       // what the next tick stands for
    bool blind = false;                      // it has no clock
    std::optional<std::uint64_t> thread_id;  // pthread_self()
  };
  // Of a process. `code` may be that of its parent; null: not known (yet).
  struct Process {
    Process(double percent, SteadyTime now, std::uint64_t seed) : budget(percent, now, seed) {}
    TickBudget budget;
    std::shared_ptr<const AllocatorCode> code;
    SteadyTime next_look{};
    std::chrono::nanoseconds look_pause{};  // grows while searches find nothing
    bool computes = false;                  // it has had a tick: worth a look for an interpreter
    bool told = false;                      // that its allocators are not known
  };
  // A tick between the moment its stack was read and the moment its thread runs again.
  struct Pending {
    SteadyTime begin{};
    std::chrono::nanoseconds weight{};
    std::optional<CodeKind> leaf;  // of the instruction that the thread stands at
    bool unread = false;           // its registers and its stack could not be read
    bool perhaps = false;          // it may be allocating: there is a stack to be judged
    bool python = false;           // the thread has a Python state
    bool readable = false;         // its stack held together
    bool partial = false;          // it was given up at max_pause
  };

  Process& process_of(const Target& target);
  void arm(Thread& thread, bool newborn);
  void note_blind(Thread& thread);
  void check_signal(Thread& thread);
  void note_time(Thread& thread);
  void look_for_code(Target& target, SteadyTime now);
  void begin_search(const Target& target);
  void await_search();
  void end_search();
  void read_stack(Thread& thread);
  AllocationJudgement judge_pending(Thread& thread, const AllocatorCode* code);
  void settle(Thread& thread, const AllocatorCode* code);
  StackId stack_of(Thread& thread);
  void count(CodeKind kind);
  void push(const Thread& thread, StackId stack);

  std::unordered_map<Tid, std::unique_ptr<Thread>> threads_;
  std::map<std::uint32_t, Process> processes_;  // by process index
  std::optional<CodeSearch> search_;            // one at a time
  cpython::RawStack stack_;
  Pending pending_;
  SteadyTime next_signal_check_{};
};

}  // namespace memspy::sampler
