// memspy diff: what grew from one recording to the next.
#include <CLI/CLI.hpp>

#include "cli/commands.h"
#include "cli/report_options.h"
#include "recording/recording.h"
#include "report/diff.h"

namespace memspy::cli {
namespace {

struct DiffOptions {
  std::vector<std::string> recordings;
  report::GroupBy by = report::GroupBy::kFunction;
  std::size_t limit = 30;
  ShapeOptions shape;
};

Result<ExitCode> run_diff(const DiffOptions& options, bool json, Env& env) {
  std::vector<recording::Profile> profiles;
  profiles.reserve(options.recordings.size());  // inputs point into it
  std::vector<report::DiffInput> inputs;
  for (const std::string& path : options.recordings) {
    MEMSPY_TRY(reader, recording::Reader::open(path));
    MEMSPY_TRY(profile, recording::Profile::load(reader));
    profiles.push_back(std::move(profile));
    inputs.push_back({path, &profiles.back()});
  }
  const report::Diff diff =
      report::diff_profiles(inputs, options.by, options.shape.shape, options.shape.gross);
  env.out << (json ? report::diff_json(diff)
                   : report::diff_text(diff, report_style(/*to_terminal=*/true, env),
                                       options.limit));
  return ExitCode::kOk;
}

}  // namespace

Verb add_diff(CLI::App& root) {
  Verb verb = add_verb(root, "diff", "What grew between recordings, by how much, at what rate");
  const auto options = std::make_shared<DiffOptions>();
  CLI::App& app = *verb.app;
  app.add_option("RECORDING", options->recordings, "Two or more .memspy files, the oldest first")
      ->type_name("FILE")
      ->required()
      ->expected(2, 1000);
  add_by(app, options->by, "Rows by line, function or file (function)");
  add_limit(app, options->limit);
  add_shape(app, options->shape);
  add_json(app, *verb.common);
  verb.run = [options, common = verb.common](Env& env) {
    return run_diff(*options, common->json, env);
  };
  return verb;
}

}  // namespace memspy::cli
