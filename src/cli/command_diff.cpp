// memspy diff: what grew from one recording, or one snapshot, to the next; of recordings of mode
// alloc, what spends more time allocating.
#include <spdlog/fmt/fmt.h>
#include <CLI/CLI.hpp>

#include <algorithm>
#include <cmath>

#include "base/byte_units.h"
#include "cli/commands.h"
#include "cli/diff_condition.h"
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
  std::optional<Condition> fail_on;
  ShapeOptions shape;
  TextOutput output;
};

using Asked = std::optional<report::AskedCondition>;

Result<Asked> ask_about(const std::optional<Condition>& fail_on, const Compared& compared) {
  if (!fail_on) return Asked{};
  MEMSPY_TRY(asked, ask(*fail_on, compared));
  return Asked(std::move(asked));
}

Result<Asked> diff_snapshots(const DiffOptions& options, std::ostream& out, Env& env) {
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
  MEMSPY_TRY(asked, ask_about(options.fail_on, compared(looks, diff)));
  report::SnapshotDiffOptions shape;
  shape.by_owner = options.by == "owner";
  shape.by_type = options.by == "type";
  shape.limit = options.limit;
  shape.style = report_style(options.output.to_stdout(), env);
  const std::string verdict = heap::verdict_of_growth(looks, diff);
  out << (options.output.json()
              ? report::snapshot_diff_json(looks, options.files, diff, verdict, asked)
              : report::snapshot_diff_text(looks, options.files, diff, shape, verdict));
  return asked;
}

Result<Asked> diff_recordings(const DiffOptions& options, std::ostream& out, Env& env) {
  const auto by = report::find_group(options.by.value_or("function"));
  if (!by)
    return usage_error("recordings are compared by line, function or file, not by " + *options.by);
  std::vector<recording::Profile> profiles;
  profiles.reserve(options.files.size());  // inputs point into it
  std::vector<report::DiffInput> inputs;
  for (const std::string& path : options.files) {
    MEMSPY_TRY(reader, recording::Reader::open(path));
    MEMSPY_TRY(profile, recording::Profile::load(reader));
    if (!profiles.empty())
      MEMSPY_CHECK(check_same_mode({options.files.front(), &profiles.front()}, {path, &profile}));
    show_names(profile, {}, /*anew=*/false, env);
    profiles.push_back(std::move(profile));
    inputs.push_back({path, &profiles.back()});
  }
  const report::Diff diff =
      report::diff_profiles(inputs, *by, options.shape.shape, options.shape.amount);
  MEMSPY_TRY(asked, ask_about(options.fail_on, compared(diff)));
  out << (options.output.json()
              ? report::diff_json(diff, asked)
              : report::diff_text(diff, report_style(options.output.to_stdout(), env),
                                  options.limit));
  return asked;
}

std::string value_text(const Condition& condition, double value) {
  if (condition.metric == Condition::Metric::kHeapObjects)
    return fmt::format("{:.0f} objects", value);
  if (condition.metric == Condition::Metric::kAllocating)
    return fmt::format("{:.1f} % of the CPU time", 100 * value);
  if (condition.metric == Condition::Metric::kAllocatingChange)
    return fmt::format("{:+.1f} % of the CPU time", 100 * value);
  if (condition.metric != Condition::Metric::kGrowth)
    return format_bytes(static_cast<std::uint64_t>(value));
  return format_signed_bytes(std::llround(value)) +
         condition.text.substr(std::min(condition.text.find('/'), condition.text.size()));
}

ExitCode judge_diff(const std::optional<Condition>& fail_on, const Asked& asked, Env& env) {
  if (!asked || !asked->met) return ExitCode::kOk;
  say(env,
      fmt::format("--fail-on {} was met: {}", fail_on->text, value_text(*fail_on, asked->value)));
  return ExitCode::kFailOn;
}

Result<ExitCode> run_diff(DiffOptions& options, bool json, Env& env) {
  const auto snapshots =
      std::count_if(options.files.begin(), options.files.end(), is_snapshot_file);
  if (snapshots != 0 && snapshots != static_cast<std::ptrdiff_t>(options.files.size()))
    return usage_error("recordings and snapshots cannot be compared with each other");
  MEMSPY_TRY(file, open_text_output(options.output, json, env));
  MEMSPY_TRY(asked, snapshots == 0 ? diff_recordings(options, file.stream(), env)
                                   : diff_snapshots(options, file.stream(), env));
  MEMSPY_CHECK(finish_text_output(file, {std::nullopt, env.wall_now(), host_name(), ""}, env));
  return judge_diff(options.fail_on, asked, env);
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
  add_condition(
      app, "--fail-on", options->fail_on,
      "Exit 8 when the last grew so much more than the first: growth>20MiB; of mode alloc "
      "allocating>30%, allocating.change>5%",
      ConditionUse::kComparison);
  add_shape(app, options->shape);
  add_text_output(app, options->output);
  add_json(app, *verb.common);
  verb.run = [options, common = verb.common](Env& env) {
    return run_diff(*options, common->json, env);
  };
  return verb;
}

}  // namespace memspy::cli
