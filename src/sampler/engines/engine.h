// How evidence is collected. An engine lives on the tracer thread from attach() to release() and
// turns what the kernel tells into events. It stops the target only as docs/architecture.md allows.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

#include "base/clock.h"
#include "base/wake_fd.h"
#include "memspy/result.h"
#include "procfs/proc_dir.h"
#include "sampler/errands.h"
#include "sampler/event_queue.h"
#include "sampler/live/live_age.h"
#include "sampler/pause_stats.h"
#include "unwind/code_map.h"

namespace memspy::sampler {

struct EngineOptions {
  double budget_percent = 2;
  bool subprocesses = false;
  bool native = false;  // native frames too
  std::optional<int> assume_minor;
  std::chrono::nanoseconds poll_interval = std::chrono::milliseconds(10);  // engine poll only
  // Of one stop: what was not read by then is not read.
  std::chrono::nanoseconds max_pause = std::chrono::milliseconds(100);
  LiveAge least_age;        // mode live: of blocks that count
  bool allocation = false;  // mode alloc: time is told, and nothing of growth
};

// Mode alloc: ticks of the threads' clocks, and what was found at them.
struct ClockCounters {
  std::atomic<std::uint64_t> ticks{0};
  std::atomic<std::uint64_t> unclassified{0};  // nobody knows whether they were of an allocation
  std::atomic<std::uint64_t> outside{0};       // of processes without an interpreter that is known
  std::atomic<std::uint64_t> collecting{0};    // of a collection, inside an allocation
  std::atomic<std::uint64_t> in_python{0}, in_library{0}, inlined{0};  // allocating: see CodeKind
  // CPU time: all of it as the kernel counts, that in user mode and that in allocators by the
  // ticks.
  std::atomic<std::uint64_t> cpu_ns{0}, user_ns{0}, allocating_ns{0};
  std::atomic<std::uint64_t> functions{0},
      inlined_places{0};  // known, of the process looked at last
};

// What an engine counts; read by the collector at any time.
struct EngineCounters {
  std::atomic<std::uint64_t> samples{0};
  std::atomic<std::uint64_t> rejected{0};         // stacks that could not be read
  std::atomic<std::uint64_t> rejected_faults{0};  // their weight
  std::atomic<std::uint64_t> partial{0};          // stacks given up at max_pause
  std::atomic<std::uint64_t> late{0};
  std::atomic<std::uint64_t> late_looks{0};  // engine poll: put off to stay inside the budget
  // Native stacks, and those of them that are not whole: beyond the copy, without a known caller,
  // or contradicting themselves. Frames whose caller was guessed.
  std::atomic<std::uint64_t> native_stacks{0}, native_cut{0}, native_lost{0}, native_broken{0};
  std::atomic<std::uint64_t> native_frames{0}, native_guessed{0};
  std::atomic<std::uint64_t> blind_threads{0};  // threads whose faults could not be watched
  // Engine bpf, for want of room in the kernel's ring.
  std::atomic<std::uint64_t> kernel_records_lost{0}, kernel_events_lost{0};
  ClockCounters clock;
  PauseStats pauses;
};

// What the tracer thread and the collector share.
struct EngineContext {
  const procfs::ProcDir& proc;
  EngineOptions options;
  SteadyTime start;
  EventQueue queue;
  EngineCounters counters;
  WakeFd to_tracer;     // the tracer should look at `ending`
  WakeFd to_collector;  // there is news: a process came or went
  std::atomic<bool> ending{false};
  Errands errands{};  // for the tracer, besides
  // Files of native frames, open until the run's names have been looked up. The tracer thread's.
  std::shared_ptr<unwind::ModuleStore> modules = std::make_shared<unwind::ModuleStore>();
  std::atomic<double> thrift{1};  // of what the budget plans, this much may be spent: CostWatch
};

// What of a process cannot be seen, from now on.
inline void note_gap(EngineContext& context, ProcessIndex process, std::string reason) {
  Gap gap;
  gap.time = std::chrono::steady_clock::now() - context.start;
  gap.process = process;
  gap.reason = std::move(reason);
  context.queue.push(std::move(gap));
}

enum class AttachKind {
  kTarget,    // what the user asked for: it must be Python
  kChild,     // one of its descendants: may be anything
  kLaunched,  // memspy's own child before its exec: it counts from the exec on
};

class Engine {
 public:
  virtual ~Engine() = default;
  virtual std::string_view name() const = 0;
  // Attaches to a process that exists. Nothing is sampled yet.
  virtual Result<Unit> attach(Pid pid, AttachKind kind) = 0;
  // Samples until `ending` or until no process is left, then stops sampling and lets go of all
  // signals on their way. Tracees themselves are released by the end of the thread. `began` is
  // called once, when whatever grows from here on is seen.
  virtual void run(const std::function<void()>& began) = 0;
};

}  // namespace memspy::sampler
