// What a sampling run says, record by record. A recording is these records on disk; live views and
// files are made from the same ones.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "memspy/frame.h"
#include "memspy/process.h"
#include "memspy/series.h"

namespace memspy {

// The first record of a run.
struct RunHeader {
  std::string memspy_version;
  std::string mode;           // "growth", "live", "alloc"
  std::string engine;         // "faults", "poll", "rss", "clock"
  std::string engine_reason;  // why this engine, and why not a better one
  std::string host;
  std::string kernel;
  std::vector<std::string> command_line;  // memspy's own
  std::chrono::nanoseconds wall_start{};  // since the Unix epoch; the one wall-clock anchor
  std::chrono::nanoseconds interval{};
  double budget_percent = 0;
  bool subprocesses = false;
};

struct ProcessRecord {
  ProcessIndex index;
  ProcessIndex parent;  // 0: the process the run was asked for
  ProcessIdentity identity;
  std::string name;  // comm
  std::vector<std::string> command_line;
  std::string python_version;  // "3.11.7"; "" while no interpreter was found
  std::string executable;
  std::chrono::nanoseconds first_seen{};  // since the start of the run
};

struct ThreadRecord {
  ThreadIndex index;
  ProcessIndex process;
  Tid tid;
  std::string name;  // Python's thread name where readable, else the kernel's comm
};

// Growth of one stack within one tick. Sums of touched - returned over all ticks, plus the
// unattributed rest of the ticks, are the growth of RSS.
struct GrowthRecord {
  std::chrono::nanoseconds time{};  // of the tick that closed it, since the start of the run
  ProcessIndex process;
  ThreadIndex thread;
  StackId stack;
  std::uint64_t touched_bytes = 0;   // pages this stack first touched
  std::uint64_t returned_bytes = 0;  // pages it had touched, given back since
  std::uint32_t samples = 0;
};

// Of a run in mode live, at its end: how far the growth of one stack can be trusted.
struct LiveRecord {
  std::chrono::nanoseconds time{};
  ProcessIndex process;
  ThreadIndex thread;
  StackId stack;
  std::uint64_t bytes = 0;                 // of pymalloc's, by the blocks that were watched
  std::uint64_t standard_error_bytes = 0;  // of these bytes
  std::uint32_t blocks = 0;                // that were watched, and are still there
  std::chrono::nanoseconds survived{};     // the youngest of them
  std::uint64_t collections = 0;           // of the collector, that each of them has survived
};

// Of a run in mode live, at its end: objects of one stack that came and went in the blocks that
// were watched. How many there were in all is not known.
struct TemporaryRecord {
  std::chrono::nanoseconds time{};
  ProcessIndex process;
  ThreadIndex thread;
  StackId stack;  // kNoStack: it could not be read
  std::uint64_t objects = 0;
};

// Of a run in mode alloc: CPU time in user mode within one tick, by the clock of each thread.
struct AllocationRecord {
  std::chrono::nanoseconds time{};  // of the tick that closed it, since the start of the run
  ProcessIndex process;
  ThreadIndex thread;
  StackId stack;  // that was allocating; kNoStack: time in which nothing was allocated
  std::chrono::nanoseconds cpu_time{};
  std::uint32_t samples = 0;  // ticks of the clock
};

// Growth of RSS that no stack explains, reconciled at a tick. May be negative within a tick.
struct UnattributedRecord {
  std::chrono::nanoseconds time{};
  ProcessIndex process;
  std::int64_t bytes = 0;
};

// Time, samples or bytes that were lost, and why. Never silent.
struct Gap {
  std::chrono::nanoseconds time{};
  std::chrono::nanoseconds duration{};
  ProcessIndex process;  // 0: all
  std::string reason;    // "rate lowered: stops took 2.4 % of the time"
  std::uint64_t samples = 0;
};

// The last record of a run, and the body of `record --json`.
struct RunSummary {
  std::chrono::nanoseconds duration{};
  std::uint64_t samples = 0;
  std::uint64_t rejected = 0;      // stacks that could not be read or did not hold together
  std::uint64_t late = 0;          // stacks read after the system call had ended
  std::uint64_t growth_bytes = 0;  // growth - shrink is the change of RSS
  std::uint64_t attributed_bytes = 0;
  std::uint64_t unattributed_bytes = 0;
  std::uint64_t shrink_bytes = 0;      // resident at the start and given back
  std::chrono::nanoseconds stopped{};  // of all threads, as seen by memspy
  std::chrono::nanoseconds pause_p50{}, pause_p99{}, pause_max{};
  std::uint64_t rss_start_bytes = 0, rss_end_bytes = 0, rss_peak_bytes = 0;
  std::string
      ended_by;  // "duration", "signal SIGINT", "target exit 0", "target killed by SIGKILL"…
  // Further numbers worth keeping, by name: "kernel_fault_bytes", "huge_page_bytes",
  // "own_cpu_seconds"…
  std::vector<std::pair<std::string, double>> counters;
};

}  // namespace memspy
