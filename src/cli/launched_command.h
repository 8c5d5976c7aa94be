// What is asked of a command that memspy launched itself, beyond what is asked of any target: was
// it Python at all, and how is it ended.
#pragma once

#include <optional>

#include "cli/env.h"
#include "cli/live_run.h"
#include "memspy/error.h"

namespace memspy::cli {

// Why a run over a launched command has no line of Python in it: no process of it was one. Only an
// attach to a PID can be refused before the run; a shell may become Python at any time.
// kUnsupported; kTargetGone when it was called python and ended too soon to tell. nullopt: it was
// Python, or nobody looked (engine rss), or a signal ended the run before anybody could know, which
// is told. Asked while the command is still there, if it is.
std::optional<Error> explain_no_python(const LiveRequest& request, const RunHeader& header,
                                       const RunSummary& summary, const WatchSink& watch, Env& env);

// It was ours to start, so it is ours to end, with what it has started in its process group.
// SIGTERM, never more. `at_terminal`: a key asked for the end, and they have heard it too; they may
// take their time before they are asked again. A command that has ended by itself has left behind
// what it did on purpose, as has one whose child went into a session or a group of its own (a
// daemon).
void end_launched(Pid pid, bool at_terminal, Env& env);

}  // namespace memspy::cli
