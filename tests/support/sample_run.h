// A small run told to any sink: two processes, three threads, growth, returns, gaps. What
// recording, sinks and report are tested with; its numbers stand in the golden files.
#pragma once

#include "memspy/sample_sink.h"

namespace memspy::testing {

RunHeader sample_header();
RunSummary sample_summary();

// Everything up to and without finish(): what is on disk after a crash.
Result<Unit> tell_unfinished_run(SampleSink& sink);
Result<Unit> tell_sample_run(SampleSink& sink);

// The same program, later and leakier: for diffs.
Result<Unit> tell_second_run(SampleSink& sink);

// A run in mode alloc of the same program.
Result<Unit> tell_unfinished_alloc_run(SampleSink& sink);
Result<Unit> tell_alloc_run(SampleSink& sink);
// Later, longer, and load() allocates more: for diffs.
Result<Unit> tell_second_alloc_run(SampleSink& sink);

// A run in mode live: load() holds 5 MiB at the second tick, of which 1 MiB is left at the end;
// init() makes objects that come and go.
Result<Unit> tell_live_run(SampleSink& sink);

// One process, `ticks` ticks of a second, a dozen measured columns and `rows` growing stacks each.
Result<Unit> tell_steady_service(SampleSink& sink, int ticks, int rows);

}  // namespace memspy::testing
