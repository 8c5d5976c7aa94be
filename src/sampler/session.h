// One sampling run over a process (and its children): finds the interpreter, chooses an engine,
// samples until told to stop, and hands records to a sink.
//
// Threads: the caller's thread runs the collector (ticks, /proc, reconciliation, sink calls); a
// tracer thread owns every ptrace and wait call. See docs/architecture.md.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "attach/process_image.h"
#include "cpython/interpreter.h"
#include "memspy/result.h"
#include "memspy/sample_sink.h"
#include "sampler/live/live_age.h"
#include "unwind/code_map.h"

namespace memspy::sampler {

enum class EngineChoice { kAuto, kBpf, kFaults, kPoll, kRss, kClock };
enum class SamplingMode {
  kGrowth,  // of RSS, by who first touched it
  kLive,    // of the Python heap, by who took what is still there
  kAlloc    // CPU time spent allocating, by who spends it
};
const char* mode_name(SamplingMode mode);  // as --mode has it

struct SessionOptions {
  std::optional<Pid> pid;           // attach…
  std::vector<std::string> launch;  // …or start this command and profile it from birth
  bool subprocesses = false;        // children too, now and later
  bool native = false;              // native frames too
  SamplingMode mode = SamplingMode::kGrowth;
  LiveAge least_age;  // live: of blocks that count
  EngineChoice engine = EngineChoice::kAuto;
  bool auto_takes_bpf = true;
  std::chrono::nanoseconds interval = std::chrono::seconds(1);
  std::optional<std::chrono::nanoseconds> duration;
  double budget_percent = 2;
  std::optional<std::chrono::nanoseconds> max_pause;
  std::optional<int> assume_minor;
  std::vector<std::string> command_line;  // memspy's own, for the header
};

class Session {
 public:
  // Attaches (or launches). Errors are final and carry why and hint. The target runs on when this
  // returns.
  static Result<std::unique_ptr<Session>> start(SessionOptions options, SampleSink& sink);
  virtual ~Session() = default;

  // Blocks until the duration has passed, the target has ended, or stop() was called; then releases
  // the target, finishes the sink and returns the summary (also given to the sink). A failed sink
  // ends the run with its error after the target was released.
  virtual Result<RunSummary> run() = 0;

  // Ends run() soon. Async-signal-safe and thread-safe. `reason` must be a string literal: "signal
  // SIGINT".
  virtual void stop(const char* reason) = 0;

  virtual const RunHeader& header() const = 0;
  // What is sampled first: pid, name and version, for the first line a person sees.
  virtual const ProcessRecord& target() const = 0;
  // The pid of a launched command; the caller decides whether to end it after the run.
  virtual std::optional<Pid> launched() const = 0;
  // The files that native frames are from, to be looked into once run() has returned; null: none.
  virtual std::shared_ptr<const unwind::ModuleStore> modules() const { return nullptr; }
  // Of the stops so far; 0 without any. Thread-safe.
  virtual std::chrono::nanoseconds pause_p99() const { return {}; }
  // A still copy of a process of the run while it is sampled: whoever traces it has to take it.
  // From any thread but the one in run(); blocks for as long as that takes. kTargetGone: it ended.
  virtual Result<std::unique_ptr<attach::ProcessImage>> take_image(
      Pid /*pid*/, const attach::ImageOptions& /*options*/) {
    return make_error(Errc::kInternal, "this session has no process to look at");
  }
};

}  // namespace memspy::sampler
