#include "sampler/ladder.h"

#include "sampler/engines/live.h"
#include "sampler/engines/page_fault.h"

namespace memspy::sampler {

const char* engine_name(EngineChoice engine) {
  switch (engine) {
    case EngineChoice::kAuto:
      return "auto";
    case EngineChoice::kFaults:
      return "faults";
    case EngineChoice::kPoll:
      return "poll";
    case EngineChoice::kRss:
      return "rss";
  }
  return "?";
}

Result<Rung> choose_engine(const procfs::ProcDir& proc, Pid pid, EngineChoice wanted) {
  if (wanted == EngineChoice::kRss)
    return Rung{wanted, "asked for: totals only, nothing is attached"};
  if (wanted == EngineChoice::kPoll)
    return Rung{wanted,
                "asked for; approximate: growth between two looks goes to what both stacks share"};
  auto works = PageFaultEngine::probe(proc, pid);
  if (works.has_value()) {
    return Rung{EngineChoice::kFaults, wanted == EngineChoice::kFaults
                                           ? "asked for"
                                           : "page-fault events can be opened on the target"};
  }
  if (wanted == EngineChoice::kFaults) {
    Error error = std::move(works).error();
    error.why = "engine faults needs perf page-fault events on the target's threads";
    if (error.hint.empty())
      error.hint = "set kernel.perf_event_paranoid to 2 or less, or give memspy CAP_PERFMON";
    error.hint += "; --engine auto takes what works";
    return error;
  }
  return Rung{EngineChoice::kPoll, "approximate: page-fault events cannot be had here (" +
                                       describe(works.error()) + ")"};
}

Result<Rung> choose_live_engine(const procfs::ProcDir& proc, Pid pid, EngineChoice wanted) {
  if (wanted == EngineChoice::kPoll || wanted == EngineChoice::kRss) {
    Error error = make_error(Errc::kUsage, std::string("--mode live does not work with the engine ") +
                                               engine_name(wanted));
    error.hint = "leave --engine out, or use --mode growth";
    return error;
  }
  auto works = LiveEngine::probe(proc, pid);
  if (!works.has_value()) {
    Error error = std::move(works).error();
    if (error.code == Errc::kPermission && error.hint.empty())
      error.hint = "set kernel.perf_event_paranoid to 2 or less, or give memspy CAP_PERFMON";
    return error;
  }
  return Rung{EngineChoice::kFaults,
              "watchpoints on the blocks that pymalloc hands out next; larger blocks and native "
              "memory by page faults"};
}

}  // namespace memspy::sampler
