// memspy gc: the collector's state, garbage, cycles, and what a collection would free.
#include <CLI/CLI.hpp>

#include "cli/commands.h"
#include "cli/heap_source.h"
#include "cli/report_options.h"
#include "cli/text_output.h"
#include "report/gc_report.h"

namespace memspy::cli {
namespace {

struct GcOptions {
  HeapSourceOptions source;
  TextOutput output;
  std::size_t limit = 20;
};

Result<ExitCode> run_gc(GcOptions& options, bool json, Env& env) {
  MEMSPY_TRY(file, open_text_output(options.output, json, env));
  MEMSPY_TRY(heap, open_heap(options.source, env));
  const auto garbage = snapshot::find_garbage(heap.snapshot.graph, heap.dominators);
  file.stream() << (options.output.json()
                        ? report::gc_json(heap.look(), garbage)
                        : report::gc_text(heap.look(), garbage, options.limit,
                                          report_style(options.output.to_stdout(), env)));
  MEMSPY_CHECK(finish_text_output(file, output_facts(heap), env));
  return ExitCode::kOk;
}

}  // namespace

Verb add_gc(CLI::App& root) {
  Verb verb = add_verb(root, "gc", "The collector: generations, cycles, what it would free");
  const auto options = std::make_shared<GcOptions>();
  CLI::App& app = *verb.app;
  add_heap_source(app, options->source);
  add_limit(app, options->limit);
  add_text_output(app, options->output);
  add_json(app, *verb.common);
  verb.run = [options, common = verb.common](Env& env) {
    return run_gc(*options, common->json, env);
  };
  return verb;
}

}  // namespace memspy::cli
