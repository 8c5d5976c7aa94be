// memspy diff: what grew from one recording, or one snapshot, to the next.
#include <CLI/CLI.hpp>

#include <algorithm>

#include "cli/commands.h"
#include "cli/heap_source.h"
#include "cli/hints.h"
#include "cli/native_names.h"
#include "cli/report_options.h"
#include "cli/text_output.h"
#include "heap/heap_look.h"
#include "recording/recording.h"
#include "report/diff.h"
#include "report/snapshot_diff.h"

namespace memspy::cli {
namespace {

struct DiffOptions {
  std::vector<std::string> files;
  std::optional<std::string> by;
  std::size_t limit = 30;
  ShapeOptions shape;
  TextOutput output;
};

Result<Unit> diff_snapshots(const DiffOptions& options, std::ostream& out, Env& env) {
  if (options.by && *options.by != "type" && *options.by != "owner")
    return usage_error("snapshots are compared by type or owner, not by " + *options.by);
  std::vector<OpenedHeap> heaps;
  for (const std::string& path : options.files) {
    MEMSPY_TRY(heap, open_snapshot_file(path, env));
    heaps.push_back(std::move(heap));
  }
  std::vector<snapshot::Look> looks;
  for (const OpenedHeap& heap : heaps) looks.push_back(heap.look());
  MEMSPY_TRY(diff, snapshot::diff_snapshots(looks));
  report::SnapshotDiffOptions shape;
  shape.by_owner = options.by == "owner";
  shape.by_type = options.by == "type";
  shape.limit = options.limit;
  shape.style = report_style(options.output.to_stdout(), env);
  const std::string verdict = heap::verdict_of_growth(looks, diff);
  out << (options.output.json()
              ? report::snapshot_diff_json(looks, options.files, diff, verdict)
              : report::snapshot_diff_text(looks, options.files, diff, shape, verdict));
  return Unit{};
}

Result<Unit> diff_recordings(const DiffOptions& options, std::ostream& out, Env& env) {
  const auto by = report::find_group(options.by.value_or("function"));
  if (!by)
    return usage_error("recordings are compared by line, function or file, not by " + *options.by);
  std::vector<recording::Profile> profiles;
  profiles.reserve(options.files.size());  // inputs point into it
  std::vector<report::DiffInput> inputs;
  for (const std::string& path : options.files) {
    MEMSPY_TRY(reader, recording::Reader::open(path));
    MEMSPY_TRY(profile, recording::Profile::load(reader));
    show_names(profile, {}, /*anew=*/false, env);
    profiles.push_back(std::move(profile));
    inputs.push_back({path, &profiles.back()});
  }
  const report::Diff diff =
      report::diff_profiles(inputs, *by, options.shape.shape, options.shape.gross);
  out << (options.output.json()
              ? report::diff_json(diff)
              : report::diff_text(diff, report_style(options.output.to_stdout(), env),
                                  options.limit));
  return Unit{};
}

Result<ExitCode> run_diff(DiffOptions& options, bool json, Env& env) {
  const auto snapshots =
      std::count_if(options.files.begin(), options.files.end(), is_snapshot_file);
  if (snapshots != 0 && snapshots != static_cast<std::ptrdiff_t>(options.files.size()))
    return usage_error("recordings and snapshots cannot be compared with each other");
  MEMSPY_TRY(file, open_text_output(options.output, json, env));
  MEMSPY_CHECK(snapshots == 0 ? diff_recordings(options, file.stream(), env)
                              : diff_snapshots(options, file.stream(), env));
  MEMSPY_CHECK(finish_text_output(file, {std::nullopt, env.wall_now(), host_name(), ""}, env));
  return ExitCode::kOk;
}

}  // namespace

Verb add_diff(CLI::App& root) {
  Verb verb = add_verb(root, "diff",
                       "What grew between recordings or snapshots, by how much, at what rate");
  const auto options = std::make_shared<DiffOptions>();
  CLI::App& app = *verb.app;
  app.add_option("FILE", options->files,
                 "Two or more recordings (.memspy) or snapshots (.memsnap), the oldest first")
      ->type_name("FILE")
      ->required()
      ->expected(2, 1000);
  app.add_option_function<std::string>(
         "--by",
         [options](const std::string& text) {
           if (!report::find_group(text) && text != "type" && text != "owner")
             throw CLI::ValidationError(
                 "--by", "\"" + text + "\" is not line, function, file, type or owner");
           options->by = text;
         },
         "Rows by line, function or file (function); of snapshots by type or owner (both)")
      ->type_name("line|function|file|type|owner")
      ->take_last();
  add_limit(app, options->limit);
  add_shape(app, options->shape);
  add_text_output(app, options->output);
  add_json(app, *verb.common);
  verb.run = [options, common = verb.common](Env& env) {
    return run_diff(*options, common->json, env);
  };
  return verb;
}

}  // namespace memspy::cli
