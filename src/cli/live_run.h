// What record and attach have in common: wait for --when, start the session, watch signals, run,
// end a launched command, and turn the summary into an exit code.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "cli/env.h"
#include "cli/exit_code.h"
#include "cli/options.h"
#include "cli/sinks_live.h"
#include "memspy/error.h"
#include "memspy/sample_sink.h"

namespace memspy::cli {

struct LiveRequest {
  std::optional<Pid> pid;  // else `command` is launched
  std::vector<std::string> command;
  SamplingOptions sampling;
  bool keep_running = false;  // a launched command is left alone at the end
};

struct LiveResult {
  RunSummary summary;
  RunHeader header;
  ProcessRecord target;
  // A launched command was no Python: what was sampled is worth its file, but is not what was asked
  // for.
  std::optional<Error> no_python;
};

// Called between the start of a session and its run.
using Started = std::function<void(sampler::Session&)>;

// `watch` is one of the sinks behind `sink`. kTargetGone when the target ended before anything was
// measured.
Result<LiveResult> run_live(const LiveRequest& request, SampleSink& sink, const WatchSink& watch,
                            Env& env, const Started& started = {});

// 0, or 8 and 10 with a remark on stderr.
ExitCode judge(const RunSummary& summary, const WatchSink& watch, const SamplingOptions& sampling,
               Env& env);

// Blocks until the condition holds for a process that nobody is attached to yet. kTargetGone when
// it ends before; kInternal when a signal ended the wait.
Result<Unit> wait_for(const Condition& condition, Pid pid, bool subprocesses, Env& env);

}  // namespace memspy::cli
