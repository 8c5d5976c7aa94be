// memspy report: a recording as text, as a tree, as annotated source, or in any other format; a
// snapshot in the formats of heaps.
#include <spdlog/fmt/fmt.h>
#include <CLI/CLI.hpp>

#include "base/byte_units.h"
#include "base/duration.h"
#include "cli/commands.h"
#include "cli/debuginfod.h"
#include "cli/heap_source.h"
#include "cli/hints.h"
#include "cli/native_names.h"
#include "cli/page_request.h"
#include "cli/report_options.h"
#include "cli/snapshot_report.h"
#include "recording/peak.h"
#include "recording/recording.h"
#include "report/annotate.h"
#include "sinks/output_file.h"
#include "sinks/sink_registry.h"
#include "sinks/snapshot_formats.h"

namespace memspy::cli {
namespace {

using recording::Profile;

struct ReportVerbOptions {
  std::vector<std::string> files;
  std::string recording;  // the first of them
  ReportChoices choices;
  report::AnnotateOptions annotate;
  std::string format;  // "": text, or by the suffix of the output
  std::string output = "-";
  bool force = false;
  bool sources = false;
  std::string alerts, history, lead;
  bool symbolize = false, debuginfod = false;
  symbolize::SymbolizeOptions symbols;
  std::optional<std::chrono::nanoseconds> from, to;
  bool peak = false;
};

// The texts that are no format of a recording.
constexpr const char* kTextFormats = "text|tree|source|table-csv";

std::string format_type() {
  std::string names = kTextFormats;
  for (const sinks::Format& format : sinks::formats())
    if (format.write != nullptr) names += "|" + std::string(format.name);
  for (const auto& format : sinks::snapshot_formats())
    if (sinks::find_format(format.name) == nullptr) names += "|" + std::string(format.name);
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
  if (sinks::find_snapshot_format(format) != nullptr)
    return usage_error("a recording has no format \"" + format + "\"",
                       "it is one of snapshots; " + options.recording + " is a recording");
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
    return format->write(profile, format_options(options.choices.shape), file.stream());
  }
  MEMSPY_TRY(text, text_of(options.format, profile, options, json, env));
  file.stream() << text;
  return Unit{};
}

bool wants_page(const ReportVerbOptions& options) {
  const auto* format = derived_format(options);
  return format != nullptr && format->name == "html";
}

Result<recording::TimeWindow> window_of(const std::string& path, const recording::Reader& reader,
                                        const ReportVerbOptions& options, Env& env) {
  recording::TimeWindow window;
  // A tick comes a little after its time; --from 3 means the one of second 3.
  const auto late = reader.header().interval / 20;
  if (options.from && *options.from > late) window.from = *options.from + late;
  if (options.to) window.to = *options.to + late;
  if (options.from && options.to && *options.from >= *options.to)
    return usage_error("--from is not before --to");
  if (!options.peak) return window;
  if (reader.header().mode == "alloc")
    return usage_error("a run of mode alloc has no peak", "it tells of time, and never of bytes",
                       "report without --peak");
  MEMSPY_TRY(peak, recording::find_peak(reader));
  if (window.from && *window.from >= peak.time)
    return usage_error("--from is not before the peak, which is at " + format_duration(peak.time));
  window.to = peak.time;
  const std::string of = options.files.size() > 1 ? " of " + path : "";
  say(env, fmt::format("the peak{} is at {}: {}", of, format_duration(peak.time),
                       peak.of_rss ? "RSS " + format_bytes(peak.bytes)
                                   : format_bytes(peak.bytes) + " had grown"));
  return window;
}

// The window of the recording that was asked for, with the names of its native frames.
Result<Profile> load_profile(const std::string& path, const ReportVerbOptions& options,
                             recording::Timeline timeline, Env& env) {
  MEMSPY_TRY(reader, recording::Reader::open(path));
  MEMSPY_CHECK(check_amount(reader.header().mode, options.choices.shape.amount));
  if (options.choices.shape.amount == recording::Amount::kTemporary) {
    if (wants_page(options)) return no_temporaries_in("html");
    if (options.from || options.to || options.peak)
      return usage_error("objects that come and go are told of a whole run",
                         "the recording has their sum, and not when they were seen",
                         "--temporary without --from, --to and --peak");
  }
  MEMSPY_TRY(window, window_of(path, reader, options, env));
  MEMSPY_TRY(profile, Profile::load(reader, window, timeline));
  const bool of_base = options.files.size() > 1 && path == options.files.front() &&
                       !is_snapshot_file(options.files[1]);
  if (!options.history.empty() && !of_base)
    MEMSPY_CHECK(recording::load_earlier(options.history, profile));
  if (options.from && *options.from > profile.last_time)
    return usage_error("--from " + format_duration(*options.from) +
                       ": the recording has no tick in that time");
  symbolize::SymbolizeOptions symbols = options.symbols;
  if (options.debuginfod) {
    MEMSPY_TRY(fetch, debuginfod_fetcher(env));
    symbols.fetch = std::move(fetch);
  }
  const bool anew = options.symbolize || options.debuginfod || !symbols.sysroot.empty() ||
                    !symbols.debug_dirs.empty();
  show_names(profile, symbols, anew, env);
  return profile;
}

Result<ExitCode> report_page(const ReportVerbOptions& options, Env& env) {
  MEMSPY_TRY(file, sinks::OutputFile::open(options.output, options.force, env.out));
  PageFiles page;
  page.paths = options.files;
  page.load = [&](const std::string& path) {
    return load_profile(path, options, recording::Timeline::kKeep, env);
  };
  page.shape = options.choices.shape;
  if (options.sources) page.sources = options.annotate;
  page.alerts = options.alerts;
  page.lead = options.lead;
  MEMSPY_CHECK(left_to_commit(write_page(page, file.stream(), env)));
  MEMSPY_TRY(path, file.commit({}));
  if (path != "-") say(env, "wrote " + path);
  return ExitCode::kOk;
}

Result<ExitCode> run_report(ReportVerbOptions options, bool json, Env& env) {
  options.recording = options.files.front();
  if (!json && wants_page(options)) return report_page(options, env);
  if (options.files.size() > 1)
    return usage_error("only the page shows several files at once", "",
                       "-f html; memspy diff compares them");
  if (options.sources) return usage_error("--sources is for the page", "", "-f html, or -f source");
  if (!options.alerts.empty()) return usage_error("--alerts is for the page", "", "-f html");
  if (!options.lead.empty()) return usage_error("--lead is for the page", "", "-f html");
  if (is_snapshot_file(options.recording)) {
    if (options.peak || options.choices.shape.amount == recording::Amount::kTemporary)
      return usage_error("a snapshot is of one moment: --peak and --temporary are of recordings");
    return report_snapshot(
        {options.recording, options.format, options.output, options.force, options.choices.limit},
        json, env);
  }
  if (options.format.empty() && !json && derived_format(options) == nullptr)
    MEMSPY_CHECK(check_suffix(options.output, format_type()));
  MEMSPY_TRY(profile, load_profile(options.recording, options, recording::Timeline::kNone, env));
  MEMSPY_TRY(file, sinks::OutputFile::open(options.output, options.force, env.out));
  MEMSPY_CHECK(left_to_commit(write(profile, options, json, file, env)));
  MEMSPY_TRY(path, file.commit({}));
  if (path != "-") say(env, "wrote " + path);
  return ExitCode::kOk;
}

}  // namespace

Verb add_report(CLI::App& root) {
  Verb verb =
      add_verb(root, "report", "A recording or a snapshot as text, tree, source or another format");
  const auto options = std::make_shared<ReportVerbOptions>();
  CLI::App& app = *verb.app;
  app.add_option("FILE", options->files,
                 "A recording (.memspy) or a snapshot (.memsnap); html: both, and what to compare "
                 "the recording with before it")
      ->type_name("FILE")
      ->required();
  app.add_option("-f,--format", options->format, "What; else by the suffix of -o, else text")
      ->type_name(format_type())
      ->take_last();
  app.add_option("-o,--output", options->output, "Where to; - is stdout")
      ->type_name("FILE")
      ->take_last();
  app.add_flag("--force", options->force, "Replace a file that exists");
  add_report_choices(app, options->choices);
  add_temporary(app, options->choices.shape);
  add_duration(app, "--from", options->from, /*bare_seconds=*/true,
               "Only from this time of the run on", std::chrono::nanoseconds::zero());
  add_duration(app, "--to", options->to, /*bare_seconds=*/true, "Only up to this time of the run");
  app.add_flag("--peak", options->peak, "Only up to when most had grown: the high-water mark")
      ->excludes("--to");
  app.add_flag("--sources", options->sources,
               "html: with the source of the lines that grew, from files of this machine");
  app.add_option("--alerts", options->alerts,
                 "html: mark the alerts of this log (memspy.alert/1, a line each) in the series")
      ->type_name("FILE")
      ->take_last();
  app.add_option("--lead", options->lead,
                 "html: the page begins with this, and then has its own verdict")
      ->type_name("TEXT")
      ->take_last();
  app.add_option("--history", options->history,
                 "A recording of the same process that begins earlier: since when it grows")
      ->type_name("FILE")
      ->take_last();
  app.add_option("--file", options->annotate.only_file, "source: only this file (or its tail)")
      ->type_name("FILE");
  app.add_option("--source-root", options->annotate.source_roots, "source: look for files here too")
      ->type_name("FILE");
  add_count(app, "--context", options->annotate.context,
            "source: lines around one that grew (5); 0: all");
  app.add_flag("--symbolize", options->symbolize,
               "Look for names and lines of native frames again, on this machine");
  app.add_option("--debug-dir", options->symbols.debug_dirs,
                 "Debug information is here too, as in /usr/lib/debug")
      ->type_name("DIR")
      ->check(CLI::ExistingDirectory);
  app.add_option("--sysroot", options->symbols.sysroot, "The target's files are below this folder")
      ->type_name("DIR")
      ->check(CLI::ExistingDirectory)
      ->take_last();
  app.add_flag("--debuginfod", options->debuginfod,
               "What is not here is fetched from the servers of DEBUGINFOD_URLS");
  add_json(app, *verb.common);
  verb.run = [options, common = verb.common](Env& env) {
    return run_report(*options, common->json, env);
  };
  return verb;
}

}  // namespace memspy::cli
