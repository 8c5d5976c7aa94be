// Engine `faults`: each thread's page faults, delivered synchronously. At every Nth fault the
// kernel sends the faulting thread a signal before it goes back to user mode; the tracer finds it
// stopped at the instruction that touches the page, reads its Python stack and swallows the signal.
// What is faulted between two stops leaves a trail of records, each of which names its Python line
// (FaultMatcher). Faults taken inside system calls come from an event that sends nothing: the
// tracer is woken, and matches the records or reads the stack while the call goes on.
//
// Why so and not otherwise, with measurements: docs/design/0001-page-fault-engine.md.
#pragma once

#include <algorithm>
#include <array>
#include <functional>
#include <memory>
#include <optional>
#include <unordered_map>
#include <utility>
#include <vector>

#include "attach/perf_fault_event.h"
#include "sampler/budget.h"
#include "sampler/engines/tracing_engine.h"
#include "sampler/stop_signal.h"
#include "sampler/thread_faults.h"

namespace memspy::sampler {

class PageFaultEngine : public TracingEngine {
 public:
  // `budget_share`: of the run's budget; the rest is for what is sampled beside page faults.
  explicit PageFaultEngine(EngineContext& context, double budget_share = 1)
      : TracingEngine(context),
        budget_percent_(context.options.budget_percent * budget_share),
        outlet_{context.queue, interner_, context.counters.samples, context.counters.late} {}

  std::string_view name() const override { return "faults"; }

  // Can it work on this process? An error says why not.
  static Result<Unit> probe(const procfs::ProcDir& proc, Pid pid);

 protected:
  void start_thread(Target& target, Tid tid, attach::ThreadOrigin origin) override;
  void end_thread(Tid tid) override;
  void begin() override;
  void work() override;
  std::chrono::nanoseconds pause() override;
  void cease() override;
  bool on_signal(Pid pid, Tid tid, const attach::SignalStop& stop) override;
  void on_resumed(Pid pid, Tid tid) override;

 private:
  // With a thread id, the key of a descriptor: its trail has records.
  static constexpr std::uint64_t kTrailKey = 1ULL << 32;

  // A ring holds a burst until the tracer is awake, some hundred faults later. Less where many
  // threads grow, or the host locks no more memory.
  static constexpr std::size_t kTrailRecords = 1024;

  // For so long a thread may be without a Python state and still be given one.
  static constexpr auto kYouth = std::chrono::seconds(1);

  struct Trail {
    std::optional<attach::PerfFaultEvent> event;
    std::uint64_t period = 1;
    std::size_t stack_bytes = attach::kLeastStackBytes;  // of a record
    bool small = false;                                  // its ring is a newborn's
    bool refused = false;                                // the host locks no more memory
    std::uint64_t settled_period = 1;                    // when its records were last taken
    // What a record of it stands for. Where that has changed meanwhile nobody knows which are new.
    std::uint64_t record_weight() const {
      return event ? std::max(period, settled_period) : ThreadFaults::kNoTrail;
    }
  };
  struct Thread {
    Thread(FaultOutlet& outlet, FaultPlaces& places, Target& of, Tid id, ThreadIndex number,
           ThreadFaults::InternRecord intern_record)
        : tid(id),
          target(&of),
          faults(outlet, places, of.index(), number, std::move(intern_record)) {}
    Tid tid;
    Target* target;
    StopSignal signal;
    std::uint64_t period = 1;  // of its stops
    bool blind = false;        // its faults cannot be watched
    std::optional<attach::PerfFaultEvent> user, kernel;
    Trail trail, call_trail;  // from its first fault of the kind on
    SteadyTime seen = std::chrono::steady_clock::now();
    std::optional<std::uint64_t> thread_id;  // pthread_self()
    std::optional<std::uint64_t> born_with;  // the same, of a thread that began under observation
    std::uint64_t kernel_period = 1, kernel_wakes = 0;
    SteadyTime next_identification{}, next_beside{};
    std::chrono::nanoseconds beside_pause{};
    SteadyTime kept_until{};  // once it has ended
    cpython::RawStack stack;  // as last read
    ThreadFaults faults;
    std::array<std::optional<attach::PerfFaultEvent>*, 4> events() {
      return {&user, &kernel, &trail.event, &call_trail.event};
    }
  };
  struct Budgets {
    Budget stops;         // of faults in user mode
    Budget kernel_reads;  // of stacks read beside system calls: they cost memspy's own time only
  };
  // A sample between the moment its stack was read and the moment its thread runs again.
  struct Pending {
    SteadyTime begin{};
    std::uint64_t faults = 0;
    RemoteAddr address;
    attach::FaultRecord place;  // empty where the stack could not be read
    bool readable = false;      // the stack held together
    bool partial = false;       // it was given up at max_pause
    bool python = false;        // the thread has a Python state
    bool outside = false;       // no interpreter is known (yet)
    bool native = false;        // its native stack was taken as well
  };

  void on_readable(std::uint64_t key) override;

  Budgets& budgets_of(const Target& target);
  void arm(Thread& thread, bool newborn);
  void arm_kernel(Thread& thread);
  void note_blind(Thread& thread);
  void enable(Thread& thread);
  void check_signal(Thread& thread);
  void follow_all(Budgets& budgets, const Target& target);
  void read_stopped(Thread& thread);
  bool read_running(Thread& thread);
  bool in_call(const Thread& thread, const attach::FaultRecord& call) const;
  void follow(Thread& thread, Trail& trail, attach::FaultKind kind, const Budget& budget,
              std::size_t records);
  void follow_calls(Thread& thread);
  std::size_t stack_bytes_for(const Target& target);
  void fit_depth(const Target& target);
  void reopen(Thread& thread, std::size_t stack_bytes);
  void hurry(Thread& thread);
  std::size_t trail_bytes(const Trail& trail, std::size_t records) const;
  void learn_call(Thread& thread);
  void learn_beside(Thread& thread);
  void warm_up();
  enum class Moment {
    kStop,  // the thread stands at a fault of user mode: that is a sample of those before it
    kRunning,
    kLast  // no record will come any more
  };
  void charge(Thread& thread, std::uint64_t user_faults, Moment moment);
  void drain(Thread& thread, Moment moment = Moment::kRunning);
  std::uint64_t take_user_count(Thread& thread);
  void flush(Thread& thread);
  void keep_ended(std::unique_ptr<Thread> thread);
  void give_up_ended(const std::function<bool(const Thread&)>& which);
  std::uint64_t first_period(const Target& target);
  void identify(Thread& thread);
  void recognise(Thread& thread, std::uint64_t thread_id);
  bool rejected(const Pending& sample);
  FaultPlaces& places_of(const Target& target);
  StackId intern(Thread& thread, const Pending& sample);
  StackId intern_native(Thread& thread, const Pending& sample);
  StackId intern_call(Thread& thread, const Pending& sample);
  ThreadFaults::InternRecord intern_record_for(Target& target, Tid tid);
  StackId outermost_of(const Target& target);

  double budget_percent_;
  FaultOutlet outlet_;
  std::unordered_map<std::uint32_t, FaultPlaces> places_;  // by process index
  std::unordered_map<Tid, std::unique_ptr<Thread>> threads_;
  std::vector<std::unique_ptr<Thread>> ended_;          // whose records wait for their places
  std::unordered_map<std::uint32_t, Budgets> budgets_;  // by process index
  StartSavings start_savings_{std::chrono::steady_clock::now()};
  Pending pending_;
  std::vector<attach::FaultRecord> calls_;  // of the wake-up at hand
  bool kernel_events_ = true;
  SteadyTime next_signal_check_{};
};

}  // namespace memspy::sampler
