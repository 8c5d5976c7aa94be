// memspy heap: what is in the heap now, who holds it, and where every byte of RSS is.
#include <spdlog/fmt/fmt.h>
#include <CLI/CLI.hpp>

#include "base/duration.h"
#include "cli/commands.h"
#include "cli/heap_options.h"
#include "cli/heap_source.h"
#include "cli/hints.h"
#include "cli/look_again.h"
#include "cli/process_list.h"
#include "cli/report_options.h"
#include "cli/signals.h"
#include "recording/summary_json.h"
#include "report/heap_text.h"
#include "report/snapshot_diff.h"
#include "report/why.h"
#include "snapshot/paths.h"

namespace memspy::cli {
namespace {

struct HeapVerbOptions {
  HeapSourceOptions source;
  report::HeapReportOptions report;
  std::optional<std::chrono::nanoseconds> watch;
};

void print(const OpenedHeap& heap, const HeapVerbOptions& options, bool json, Env& env) {
  report::HeapReportOptions shape = options.report;
  shape.style = report_style(/*to_terminal=*/true, env);
  if (json) {
    const auto document = report::heap_json(heap.look(), shape, heap.verdict());
    env.out << (options.watch ? recording::json_line(document) : recording::json_text(document));
  } else {
    env.out << report::heap_text(heap.look(), shape, heap.verdict());
  }
  env.out.flush();
}

// JSON: the heap as it is now, and its growth since the first look beside it.
Result<Unit> print_growth(const OpenedHeap& first, const OpenedHeap& now,
                          const HeapVerbOptions& options, bool json, Env& env) {
  const std::array looks{first.look(), now.look()};
  const std::array<std::string, 2> names{"first look", "now"};
  MEMSPY_TRY(diff, snapshot::diff_snapshots(looks));
  report::SnapshotDiffOptions shape;
  shape.limit = options.report.limit;
  shape.style = report_style(/*to_terminal=*/true, env);
  if (json) {
    auto document = report::heap_json(now.look(), options.report, now.verdict());
    document["growth"] = decltype(document)::parse(report::snapshot_diff_json(looks, names, diff));
    env.out << recording::json_line(document) << std::flush;
    return Unit{};
  }
  env.out << "\n" << report::snapshot_diff_text(looks, names, diff, shape) << std::flush;
  return Unit{};
}

Result<ExitCode> watch(Pid pid, const HeapVerbOptions& options, bool json, Env& env) {
  const SignalScope signals;
  MEMSPY_TRY(first, look_at_heap(pid, options.source.image, env));
  first.read_texts = nullptr;  // the copy of the memory may go
  print(first, options, json, env);
  MEMSPY_CHECK(look_again(pid, *options.watch, env, [&]() -> Result<bool> {
    MEMSPY_TRY(now, look_at_heap(pid, options.source.image, env));
    MEMSPY_CHECK(print_growth(first, now, options, json, env));
    return true;
  }));
  return ExitCode::kOk;
}

// The texts that paths and examples want: contents, so only if asked for.
void read_wanted_texts(OpenedHeap& heap, const HeapVerbOptions& options) {
  if (!options.source.image.values || !heap.read_texts || options.report.largest == 0) return;
  std::vector<snapshot::Path> paths;
  for (const NodeIndex node : report::largest_objects(heap.look(), options.report.largest))
    paths.push_back(shortest_path(heap.snapshot, node));
  heap.read_texts(heap.snapshot, report::keys_on_paths(heap.snapshot.graph, paths));
}

Result<ExitCode> run_heap(const HeapVerbOptions& options, bool json, Env& env) {
  if (options.watch) {
    if (!options.source.file.empty()) {
      return usage_error("a snapshot does not change: --watch looks at a process",
                         options.source.file + " is a file",
                         "memspy diff A.memsnap B.memsnap says what grew between two");
    }
    MEMSPY_TRY(pid, resolve_target(options.source.target, env));
    return watch(pid, options, json, env);
  }
  MEMSPY_TRY(heap, open_heap(options.source, env));
  read_wanted_texts(heap, options);
  print(heap, options, json, env);
  return ExitCode::kOk;
}

}  // namespace

Verb add_heap(CLI::App& root) {
  Verb verb =
      add_verb(root, "heap", "What is in the heap, who holds it, where every byte of RSS is");
  const auto options = std::make_shared<HeapVerbOptions>();
  CLI::App& app = *verb.app;
  add_heap_source(app, options->source);
  add_heap_report(app, options->report);
  add_duration(app, "--watch", options->watch, /*bare_seconds=*/true,
               "Look again after this time, and say what grew");
  add_json(app, *verb.common);
  verb.run = [options, common = verb.common](Env& env) {
    return run_heap(*options, common->json, env);
  };
  return verb;
}

}  // namespace memspy::cli
