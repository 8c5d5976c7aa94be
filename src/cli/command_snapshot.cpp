// memspy snapshot: saves the heap's graph to a file, of a process or of a core file.
#include <spdlog/fmt/fmt.h>
#include <sys/stat.h>
#include <CLI/CLI.hpp>

#include "base/byte_units.h"
#include "base/digits.h"
#include "base/duration.h"
#include "cli/commands.h"
#include "cli/heap_source.h"
#include "cli/hints.h"
#include "cli/json_text.h"
#include "cli/process_list.h"
#include "report/heap_text.h"
#include "sinks/output_file.h"
#include "snapshot/snapshot_file.h"

namespace memspy::cli {
namespace {

struct SnapshotVerbOptions {
  TargetOptions target;
  ImageChoices image;
  std::string core, executable;
  std::string output = "memspy-%n-%p-%t.memsnap";
  bool force = false;
};

// The place is tested by making a file there, which is gone again at once: what is written later
// are columns, not a stream, and a look takes long enough to be interrupted.
Result<Unit> test_place(const SnapshotVerbOptions& options, Env& env) {
  struct stat info {};
  if (options.output == "-")
    return usage_error("a snapshot is mapped, and cannot go to standard output", "",
                       "-o out.memsnap");
  if (::stat(options.output.c_str(), &info) == 0 && !S_ISREG(info.st_mode) &&
      !S_ISDIR(info.st_mode))
    return make_error(Errc::kOutput,
                      "cannot write the snapshot " + options.output + ": not a regular file");
  MEMSPY_TRY(tested, sinks::OutputFile::open(options.output, options.force, env.out));
  static_cast<void>(tested);
  return Unit{};
}

Result<std::string> write(const OpenedHeap& heap, const SnapshotVerbOptions& options) {
  const snapshot::Header& header = heap.snapshot.header;
  sinks::OutputFacts facts;
  if (header.process.pid.value != 0) facts.pid = header.process.pid;
  facts.wall_time = header.wall_time;
  facts.host = host_name();
  facts.name = header.process_name;
  const std::string path = sinks::expand_output_name(options.output, facts);
  struct stat info {};
  if (!options.force && ::stat(path.c_str(), &info) == 0) {
    Error error = make_error(Errc::kOutput, path + " exists already");
    error.hint = "give another name, or --force to replace it";
    return error;
  }
  MEMSPY_CHECK(snapshot::write_snapshot(path, heap.snapshot, heap.dominators));
  return path;
}

void tell(const OpenedHeap& heap, const std::string& path, bool json, Env& env) {
  const auto& [snapshot, dominators, owners, read_texts] = heap;
  struct stat info {};
  const std::uint64_t size =
      ::stat(path.c_str(), &info) == 0 ? static_cast<std::uint64_t>(info.st_size) : 0;
  const std::uint64_t bytes = report::heap_bytes(snapshot.graph);
  if (json) {
    Json document;
    document["schema"] = "memspy.snapshot/1";
    document["file"] = path;
    document["file_bytes"] = size;
    report::add_snapshot_head(snapshot.header, document);
    document["objects"] = {{"count", snapshot.graph.node_count()}, {"bytes", bytes}};
    document["values"] = snapshot.header.values;
    env.out << json_text(document) << '\n';
    return;
  }
  std::string text = fmt::format("wrote {} ({}): {} objects, {}", path, format_bytes(size),
                                 grouped_digits(snapshot.graph.node_count()), format_bytes(bytes));
  if (snapshot.header.pause.count() > 0)
    text += ", paused " + format_duration(snapshot.header.pause);
  say(env, text);
  if (std::string torn = report::moved_threads_text(snapshot.header); !torn.empty()) {
    torn.pop_back();  // say() ends the line
    say(env, torn);
  }
}

Result<ExitCode> run_snapshot(const SnapshotVerbOptions& options, bool json, Env& env) {
  if (!options.core.empty() && options.target.pid)
    return usage_error("--core and a PID: one of them, please",
                       "a core file is what a process that has ended left");
  if (options.core.empty() && !options.executable.empty())
    return usage_error("--exe belongs to --core");
  std::optional<Pid> pid;
  if (options.core.empty()) {
    MEMSPY_TRY(resolved, resolve_target(options.target, env));
    pid = resolved;
  }
  MEMSPY_CHECK(test_place(options, env));
  MEMSPY_TRY(heap, pid ? look_at_heap(*pid, options.image, env)
                       : look_at_core(options.core, options.executable, options.image, env));
  MEMSPY_TRY(path, write(heap, options));
  tell(heap, path, json, env);
  return ExitCode::kOk;
}

}  // namespace

Verb add_snapshot(CLI::App& root) {
  Verb verb =
      add_verb(root, "snapshot", "Save the heap: every object and reference, to a .memsnap");
  const auto options = std::make_shared<SnapshotVerbOptions>();
  CLI::App& app = *verb.app;
  add_target(app, options->target);
  app.add_option("--core", options->core, "Of a core file instead of a process")
      ->type_name("FILE")
      ->take_last();
  app.add_option("--exe", options->executable, "The program that the core file is of")
      ->type_name("FILE")
      ->take_last();
  app.add_option("-o,--output", options->output, "Where to; %p %t %h %n stand for facts")
      ->type_name("FILE")
      ->take_last();
  app.add_flag("--force", options->force, "Replace a file that exists");
  add_image_choices(app, options->image);
  options->image.marks = true;
  add_json(app, *verb.common);
  verb.run = [options, common = verb.common](Env& env) {
    return run_snapshot(*options, common->json, env);
  };
  return verb;
}

}  // namespace memspy::cli
