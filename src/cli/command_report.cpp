// memspy report: a recording as text, as a tree, as annotated source, or in any other format.
#include <CLI/CLI.hpp>

#include "base/duration.h"
#include "cli/commands.h"
#include "cli/hints.h"
#include "cli/report_options.h"
#include "recording/recording.h"
#include "report/annotate.h"
#include "sinks/output_file.h"
#include "sinks/sink_registry.h"

namespace memspy::cli {
namespace {

using recording::Profile;

struct ReportVerbOptions {
  std::string recording;
  ReportChoices choices;
  report::AnnotateOptions annotate;
  std::string format;  // "": text, or by the suffix of the output
  std::string output = "-";
  bool force = false;
  std::optional<std::chrono::nanoseconds> from, to;
};

// The texts that are no format of a recording.
constexpr const char* kTextFormats = "text|tree|source|table-csv";

std::string format_type() {
  std::string names = kTextFormats;
  for (const sinks::Format& format : sinks::formats())
    if (format.write != nullptr) names += "|" + std::string(format.name);
  return names;
}

Result<std::string> text_of(const std::string& format, const Profile& profile,
                            const ReportVerbOptions& options, bool json, const Env& env) {
  const report::ReportOptions shape = report_options(options.choices, options.output == "-", env);
  if (json) return report::report_json(profile, shape);
  if (format.empty() || format == "text") return report::report_table(profile, shape);
  if (format == "tree") return report::report_tree(profile, shape);
  if (format == "source") return report::report_annotated(profile, shape, options.annotate);
  if (format == "table-csv") return report::report_csv(profile, shape);
  return usage_error("there is no format \"" + format + "\"", "formats are " + format_type());
}

const sinks::Format* derived_format(const ReportVerbOptions& options) {
  if (!options.format.empty()) return sinks::find_format(options.format);
  return options.output == "-" ? nullptr : sinks::find_format_for(options.output);
}

Result<Unit> write(const Profile& profile, const ReportVerbOptions& options, bool json,
                   sinks::OutputFile& file, const Env& env) {
  const sinks::Format* format = json ? nullptr : derived_format(options);
  if (format != nullptr && format->write == nullptr)
    return usage_error("report does not copy recordings", "", "cp " + options.recording);
  if (format != nullptr) {
    const sinks::FormatOptions shape{options.choices.shape.shape, options.choices.shape.gross};
    return format->write(profile, shape, file.stream());
  }
  MEMSPY_TRY(text, text_of(options.format, profile, options, json, env));
  file.stream() << text;
  return Unit{};
}

Result<ExitCode> run_report(const ReportVerbOptions& options, bool json, Env& env) {
  MEMSPY_TRY(reader, recording::Reader::open(options.recording));
  recording::TimeWindow window;
  if (options.from) window.from = *options.from;
  if (options.to) window.to = *options.to;
  MEMSPY_TRY(profile, Profile::load(reader, window));
  MEMSPY_TRY(file, sinks::OutputFile::open(options.output, options.force, env.out));
  MEMSPY_CHECK(write(profile, options, json, file, env));
  MEMSPY_TRY(path, file.commit({}));
  if (path != "-") say(env, "wrote " + path);
  return ExitCode::kOk;
}

}  // namespace

Verb add_report(CLI::App& root) {
  Verb verb =
      add_verb(root, "report", "A recording as text, tree, annotated source or another format");
  const auto options = std::make_shared<ReportVerbOptions>();
  CLI::App& app = *verb.app;
  app.add_option("RECORDING", options->recording, "A .memspy file")->type_name("FILE")->required();
  app.add_option("-f,--format", options->format, "What; else by the suffix of -o, else text")
      ->type_name(format_type())
      ->take_last();
  app.add_option("-o,--output", options->output, "Where to; - is stdout")
      ->type_name("FILE")
      ->take_last();
  app.add_flag("--force", options->force, "Replace a file that exists");
  add_report_choices(app, options->choices);
  add_duration(app, "--from", options->from, /*bare_seconds=*/true,
               "Only from this time of the run on");
  add_duration(app, "--to", options->to, /*bare_seconds=*/true, "Only up to this time of the run");
  app.add_option("--file", options->annotate.only_file, "source: only this file (or its tail)")
      ->type_name("FILE");
  app.add_option("--source-root", options->annotate.source_roots, "source: look for files here too")
      ->type_name("FILE");
  app.add_option("--context", options->annotate.context,
                 "source: lines around one that grew (5); 0: all")
      ->type_name("N");
  add_json(app, *verb.common);
  verb.run = [options, common = verb.common](Env& env) {
    return run_report(*options, common->json, env);
  };
  return verb;
}

}  // namespace memspy::cli
