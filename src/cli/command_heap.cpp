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
#include "cli/text_output.h"
#include "heap/heap_look.h"
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
  TextOutput output;
  std::optional<std::chrono::nanoseconds> watch;
};

void print(const OpenedHeap& heap, const HeapVerbOptions& options, std::ostream& out,
           const Env& env) {
  report::HeapReportOptions shape = options.report;
  shape.style = report_style(options.output.to_stdout(), env);
  if (options.output.json()) {
    const auto document = report::heap_json(heap.look(), shape, heap.verdict());
    out << (options.watch ? recording::json_line(document) : recording::json_text(document));
  } else {
    out << report::heap_text(heap.look(), shape, heap.verdict());
  }
  out.flush();
}

// The first look, the one before, this one: what grows on and on is told from what filled up.
struct Looks {
  std::vector<const OpenedHeap*> heaps;
  std::vector<std::string> names;
};

// JSON: the heap as it is now, and its growth since the first look beside it.
Result<Unit> print_growth(const Looks& looks, const HeapVerbOptions& options, std::ostream& out,
                          const Env& env) {
  std::vector<snapshot::Look> models;
  for (const OpenedHeap* heap : looks.heaps) models.push_back(heap->look());
  MEMSPY_TRY(diff, snapshot::diff_snapshots(models));
  const std::string verdict = heap::verdict_of_growth(models, diff);
  report::SnapshotDiffOptions shape;
  shape.limit = options.report.limit;
  shape.style = report_style(options.output.to_stdout(), env);
  if (options.output.json()) {
    const OpenedHeap& now = *looks.heaps.back();
    auto document = report::heap_json(now.look(), options.report, now.verdict());
    document["growth"] =
        decltype(document)::parse(report::snapshot_diff_json(models, looks.names, diff, verdict));
    out << recording::json_line(document) << std::flush;
    return Unit{};
  }
  out << "\n"
      << report::snapshot_diff_text(models, looks.names, diff, shape, verdict) << std::flush;
  return Unit{};
}

// Into a file it is one comparison; a terminal, or a pipe, is told every time.
Result<OpenedHeap> watch(Pid pid, const HeapVerbOptions& options, std::ostream& out, Env& env) {
  const SignalScope signals;
  MEMSPY_TRY(first, look_at_heap(pid, options.source.image, env));
  first.read_texts = nullptr;  // the copy of the memory may go
  print(first, options, out, env);
  std::optional<OpenedHeap> before;
  MEMSPY_CHECK(look_again(pid, *options.watch, env, [&]() -> Result<bool> {
    MEMSPY_TRY(now, look_at_heap(pid, options.source.image, env));
    now.read_texts = nullptr;
    Looks looks{{&first}, {"first look"}};
    if (before) {
      looks.heaps.push_back(&*before);
      looks.names.emplace_back("the look before");
    }
    looks.heaps.push_back(&now);
    looks.names.emplace_back("now");
    MEMSPY_CHECK(print_growth(looks, options, out, env));
    before = std::move(now);
    return options.output.to_stdout();
  }));
  return first;
}

// The texts that paths and examples want: contents, so only if asked for.
void read_wanted_texts(OpenedHeap& heap, const HeapVerbOptions& options) {
  if (!options.source.image.values || !heap.read_texts || options.report.largest == 0) return;
  std::vector<snapshot::Path> paths;
  for (const NodeIndex node : report::largest_objects(heap.look(), options.report.largest))
    paths.push_back(shortest_path(heap.snapshot, node));
  heap.read_texts(heap.snapshot, report::keys_on_paths(heap.snapshot.graph, paths));
}

Result<OpenedHeap> look_once(const HeapVerbOptions& options, std::ostream& out, Env& env) {
  auto heap = open_heap(options.source, env);
  if (!heap.has_value()) return heap;
  read_wanted_texts(*heap, options);
  print(*heap, options, out, env);
  return heap;
}

Result<ExitCode> run_heap(HeapVerbOptions& options, bool json, Env& env) {
  if (options.watch && !options.source.file.empty()) {
    return usage_error("a snapshot does not change: --watch looks at a process",
                       options.source.file + " is a file",
                       "memspy diff A.memsnap B.memsnap says what grew between two");
  }
  MEMSPY_TRY(file, open_text_output(options.output, json, env));
  auto heap = Result<OpenedHeap>(make_error(Errc::kInternal, "nothing was looked at"));
  if (options.watch) {
    MEMSPY_TRY(pid, resolve_target(options.source.target, env));
    heap = watch(pid, options, file.stream(), env);
  } else {
    heap = look_once(options, file.stream(), env);
  }
  if (!heap.has_value()) return std::move(heap).error();
  MEMSPY_CHECK(finish_text_output(file, output_facts(*heap), env));
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
  add_text_output(app, options->output);
  add_json(app, *verb.common);
  verb.run = [options, common = verb.common](Env& env) {
    return run_heap(*options, common->json, env);
  };
  return verb;
}

}  // namespace memspy::cli
