#include "sampler/ladder.h"

#include <utility>

#include "sampler/engines/alloc.h"
#include "sampler/engines/live.h"
#include "sampler/engines/page_fault.h"

namespace memspy::sampler {

bool has_native_frames(EngineChoice engine) {
  return engine == EngineChoice::kFaults || engine == EngineChoice::kClock;
}

const char* engine_name(EngineChoice engine) {
  switch (engine) {
    case EngineChoice::kAuto:
      return "auto";
    case EngineChoice::kBpf:
      return "bpf";
    case EngineChoice::kFaults:
      return "faults";
    case EngineChoice::kPoll:
      return "poll";
    case EngineChoice::kRss:
      return "rss";
    case EngineChoice::kClock:
      return "clock";
  }
  return "?";
}

namespace {

constexpr const char* kPerfRemedy =
    "set kernel.perf_event_paranoid to 2 or less, or give memspy CAP_PERFMON (CAP_SYS_ADMIN on "
    "Debian's and Ubuntu's kernels while it is 3 or more)";

// What takes a stop: native frames, and to hold what may be over before anybody has looked.
const char* why_no_bpf(const SessionOptions& options) {
  if (options.native) return "it does not read native frames";
  if (options.subprocesses) return "it does not follow children";
  if (!options.launch.empty()) return "it does not follow a command from its birth";
  return nullptr;
}

// The programs may be let in where the events that they run at are refused.
Result<std::unique_ptr<attach::BpfFaults>> load_bpf(Pid pid) {
  MEMSPY_TRY(loaded, attach::BpfFaults::load());
  constexpr std::uint32_t kNoProcess = 0;
  constexpr std::uint64_t kNever = 1ULL << 40;  // faults
  const Tid main_thread{pid.value};
  const auto watched = loaded->watch_thread(kNoProcess, main_thread, kNever);
  loaded->forget_thread(main_thread);
  // A main thread may end before its process.
  if (!watched.has_value() && watched.error().code != Errc::kNoSuchProcess) return watched.error();
  return loaded;
}

Result<Rung> choose_bpf(Pid pid, const SessionOptions& options) {
  Error error = make_error(Errc::kUsage, "engine bpf does not work here");
  if (const char* why = why_no_bpf(options)) {
    error.why = why;
    error.hint = "leave --engine out: auto takes what works";
    return error;
  }
  auto loaded = load_bpf(pid);
  if (loaded.has_value())
    return Rung{EngineChoice::kBpf, "asked for; nothing is stopped", std::move(loaded).value()};
  error.code = loaded.error().code;
  error.why = describe(loaded.error());
  error.hint = loaded.error().hint.empty() ? "leave --engine out: auto takes what works"
                                           : loaded.error().hint;
  return error;
}

// The best that works, and why nothing better does.
Result<Rung> choose_best(const procfs::ProcDir& proc, Pid pid, const SessionOptions& options) {
  std::string lacking;
  const char* unfit = why_no_bpf(options);
  if (unfit != nullptr || !options.auto_takes_bpf) {
    lacking =
        std::string("not bpf: ") + (unfit != nullptr ? unfit : "the daemon's tracers do without");
  } else {
    auto loaded = load_bpf(pid);
    if (loaded.has_value())
      return Rung{EngineChoice::kBpf, "nothing is stopped", std::move(loaded).value()};
    lacking = "not bpf: " + describe(loaded.error());
  }
  const auto works = PageFaultEngine::probe(proc, pid);
  if (works.has_value())
    return Rung{EngineChoice::kFaults,
                "page-fault events can be opened on the target (" + lacking + ")"};
  return Rung{EngineChoice::kPoll,
              "approximate: page-fault events cannot be had here (" + describe(works.error()) + ")",
              nullptr};
}

Result<Rung> choose_faults(const procfs::ProcDir& proc, Pid pid) {
  auto works = PageFaultEngine::probe(proc, pid);
  if (works.has_value()) return Rung{EngineChoice::kFaults, "asked for"};
  Error error = std::move(works).error();
  error.why = "engine faults needs perf page-fault events on the target's threads";
  if (error.hint.empty()) error.hint = kPerfRemedy;
  error.hint += "; --engine auto takes what works";
  return error;
}

}  // namespace

Result<Rung> choose_engine(const procfs::ProcDir& proc, Pid pid, const SessionOptions& options) {
  switch (options.engine) {
    case EngineChoice::kRss:
      return Rung{EngineChoice::kRss, "asked for: totals only, nothing is attached"};
    case EngineChoice::kPoll:
      return Rung{EngineChoice::kPoll,
                  "asked for; approximate: growth between two looks goes to what both stacks share",
                  nullptr};
    case EngineChoice::kFaults:
      return choose_faults(proc, pid);
    case EngineChoice::kBpf:
      return choose_bpf(pid, options);
    case EngineChoice::kClock:  // of mode alloc, which has a choice of its own
    case EngineChoice::kAuto:
      break;
  }
  return choose_best(proc, pid, options);
}

namespace {

Error not_of_mode(const std::string& mode, EngineChoice engine) {
  const bool series = engine == EngineChoice::kRss;
  Error error = make_error(
      Errc::kUsage,
      series ? "--mode " + mode + " and --rss: the time series alone has no stacks"
             : "--mode " + mode + " does not work with the engine " + engine_name(engine));
  error.hint = std::string("leave ") + (series ? "--rss (or --engine rss)" : "--engine") +
               " out, or use --mode growth";
  return error;
}

// See TrapGuard; any machine with a hypervisor may have one that does.
bool loses_debug_reasons(const procfs::ProcDir& proc) {
  return proc.setting("cpuinfo").value_or("").find(" hypervisor") != std::string::npos;
}

constexpr const char* kGuarded =
    "stopped only at signals, and where threads begin and end: in a virtual machine it is traced, "
    "so that no debug exception that loses its reason there ends it";

// Can writes to what is watched be recorded? Nothing is armed.
Result<Unit> probe_told_watch(attach::BpfFaults& bpf, Pid pid) {
  MEMSPY_TRY(watch, attach::PerfWatch::open_for_heirs(Tid{pid.value}));
  return bpf.tell_writes(watch);
}

}  // namespace

Result<Rung> choose_live_engine(const procfs::ProcDir& proc, Pid pid,
                                const SessionOptions& options) {
  if (options.engine == EngineChoice::kPoll || options.engine == EngineChoice::kRss) {
    return not_of_mode("live", options.engine);
  }
  const std::string watches =
      "watchpoints on the blocks that pymalloc hands out next; larger blocks and native memory by "
      "page faults; ";
  MEMSPY_TRY(rung, choose_engine(proc, pid, options));
  if (rung.engine == EngineChoice::kBpf) {
    const auto works = probe_told_watch(*rung.bpf, pid);
    if (works.has_value()) {
      rung.guarded = loses_debug_reasons(proc);
      rung.reason = watches + (rung.guarded ? kGuarded : rung.reason);
      return rung;
    }
    if (options.engine == EngineChoice::kBpf) return no_watchpoints(works.error());
    rung = {EngineChoice::kFaults, "not bpf: " + describe(works.error())};
  }
  auto works = LiveEngine::probe(proc, pid);
  if (!works.has_value()) {
    Error error = std::move(works).error();
    if (error.code == Errc::kPermission && error.hint.empty()) error.hint = kPerfRemedy;
    return error;
  }
  return Rung{EngineChoice::kFaults, watches + rung.reason};
}

Result<Rung> choose_alloc_engine(const procfs::ProcDir& proc, Pid pid, EngineChoice wanted) {
  if (wanted != EngineChoice::kAuto && wanted != EngineChoice::kClock) {
    return not_of_mode("alloc", wanted);
  }
  auto works = AllocEngine::probe(proc, pid);
  if (!works.has_value()) {
    Error error = std::move(works).error();
    if (error.why.empty())
      error.why = "--mode alloc needs a perf clock on the target's threads, and has no other way";
    if (error.code == Errc::kPermission && error.hint.empty()) error.hint = kPerfRemedy;
    return error;
  }
  return Rung{EngineChoice::kClock,
              "a clock of each thread's CPU time in user mode; what is told is time, not bytes",
              nullptr};
}

}  // namespace memspy::sampler
