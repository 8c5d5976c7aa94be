// memspy traces: the table of a process that runs with tracemalloc on, read from outside.
#include <spdlog/fmt/fmt.h>
#include <CLI/CLI.hpp>

#include "base/log.h"
#include "cli/commands.h"
#include "cli/heap_source.h"
#include "cli/hints.h"
#include "cli/look_again.h"
#include "cli/phase_progress.h"
#include "cli/process_list.h"
#include "cli/report_options.h"
#include "cli/search_log.h"
#include "heap/trace_look.h"
#include "recording/summary_json.h"
#include "report/trace_text.h"
#include "sinks/output_file.h"

namespace memspy::cli {
namespace {

constexpr const char* kTraceFormats = "text|json|folded";

struct TracesOptions {
  TargetOptions target;
  ImageChoices image;
  report::TraceReportOptions report;
  std::optional<std::chrono::nanoseconds> watch;
  std::string format;  // "": by the suffix of the output, else text
  std::string output = "-";
  bool force = false;
};

report::TraceView view_of(const heap::TraceLook& look) { return {&look.header, &look.table}; }

void tell_details(const heap::TraceLook& look) {
  log_search(look.attempts);
  spdlog::debug("layout: {}", look.layout_source);
  for (const std::string& remark : look.remarks) spdlog::debug("{}", remark);
}

Result<heap::TraceLook> look(Pid pid, const TracesOptions& options, Env& env) {
  PhaseProgress progress(env);
  heap::TraceLookOptions how;
  how.image.max_pause = options.image.max_pause;
  how.image.spool = options.image.spool;
  how.assume_minor = options.image.assume_minor;
  how.types = options.report.by == report::TraceGroup::kType;
  how.progress = [&progress](const char* phase, double share) { progress.show(phase, share); };
  auto found = env.look_at_traces(pid, how);
  progress.clear();
  if (found.has_value()) tell_details(*found);
  return found;
}

std::string text_of(const heap::TraceLook& first, const heap::TraceLook* now,
                    const TracesOptions& options, const std::string& format, const Env& env) {
  report::TraceReportOptions shape = options.report;
  shape.style = report_style(options.output == "-", env);
  const report::TraceView before = view_of(first), after = view_of(now != nullptr ? *now : first);
  if (format == "folded")
    return now == nullptr ? trace_folded(before, shape) : trace_growth_folded(before, after, shape);
  if (format == "json") {
    auto document = trace_json(after, shape);
    if (now != nullptr) document["growth"] = trace_growth_json(before, after, shape);
    return options.watch ? recording::json_line(document) : recording::json_text(document);
  }
  return now == nullptr ? trace_text(before, shape)
                        : "\n" + trace_growth_text(before, after, shape);
}

// A terminal is told every time; a file, and folded stacks, are one comparison.
Result<Unit> watch(Pid pid, const heap::TraceLook& first, const TracesOptions& options,
                   const std::string& format, std::ostream& out, Env& env) {
  const bool once = options.output != "-" || format == "folded";
  if (format != "folded") out << text_of(first, nullptr, options, format, env) << std::flush;
  return look_again(pid, *options.watch, env, [&]() -> Result<bool> {
    MEMSPY_TRY(now, look(pid, options, env));
    out << text_of(first, &now, options, format, env) << std::flush;
    return !once;
  });
}

std::string format_of(const TracesOptions& options, bool json) {
  if (!options.format.empty()) return options.format;
  if (json || options.output.ends_with(".json")) return "json";
  if (options.output.ends_with(".folded") || options.output.ends_with(".collapsed"))
    return "folded";
  return "text";
}

Result<ExitCode> run_traces(const TracesOptions& options, bool json, Env& env) {
  if (json && !options.format.empty() && options.format != "json")
    return usage_error("--json and -f " + options.format + ": one of them, please");
  const std::string format = format_of(options, json);
  MEMSPY_TRY(pid, resolve_target(options.target, env));
  MEMSPY_TRY(file, sinks::OutputFile::open(options.output, options.force, env.out));
  MEMSPY_TRY(first, look(pid, options, env));
  if (options.watch) {
    MEMSPY_CHECK(watch(pid, first, options, format, file.stream(), env));
  } else {
    file.stream() << text_of(first, nullptr, options, format, env);
  }
  const auto& header = first.header;
  MEMSPY_TRY(path, file.commit({pid, header.wall_time, host_name(), header.process_name}));
  if (path != "-") say(env, "wrote " + path);
  return ExitCode::kOk;
}

void add_filters(CLI::App& app, report::TraceFilter& filter) {
  const auto add = [&](const std::string& name, std::vector<std::string>& globs,
                       const std::string& description) {
    app.add_option_function<std::vector<std::string>>(
           name,
           [&globs](const std::vector<std::string>& given) {
             globs.insert(globs.end(), given.begin(), given.end());
           },
           description)
        ->type_name("GLOB")
        ->type_size(1)
        ->expected(1)
        ->allow_extra_args(false)
        ->take_all();
  };
  add("--include", filter.include, "Only what files of such a name allocated; more than once");
  add("--exclude", filter.exclude, "Not what files of such a name allocated; more than once");
}

void add_choice(CLI::App& app, const std::string& names, const std::string& values,
                const std::string& description, std::function<bool(const std::string&)> set) {
  const std::string name = names.substr(names.find("--"));
  app.add_option_function<std::string>(
         names,
         [name, values, set = std::move(set)](const std::string& text) {
           if (!set(text))
             throw CLI::ValidationError(name, "\"" + text + "\" is not one of " + values);
         },
         description)
      ->type_name(values)
      ->take_last();
}

}  // namespace

Verb add_traces(CLI::App& root) {
  Verb verb = add_verb(root, "traces", "The table of tracemalloc, of a process that has it on");
  const auto options = std::make_shared<TracesOptions>();
  CLI::App& app = *verb.app;
  add_target(app, options->target);
  add_choice(app, "--by", "line|file|traceback|type", "What a row is (line)",
             [&by = options->report.by](const std::string& text) {
               const auto group = report::find_trace_group(text);
               by = group.value_or(by);
               return group.has_value();
             });
  add_limit(app, options->report.limit);
  add_filters(app, options->report.filter);
  add_duration(app, "--watch", options->watch, /*bare_seconds=*/true,
               "Look again after this time, and say what grew");
  add_choice(app, "-f,--format", kTraceFormats, "What; else by the suffix of -o, else text",
             [&format = options->format](const std::string& text) {
               format = text;
               return text == "text" || text == "json" || text == "folded";
             });
  app.add_option("-o,--output", options->output, "Where to; - is stdout")
      ->type_name("FILE")
      ->take_last();
  app.add_flag("--force", options->force, "Replace a file that exists");
  add_copy_choices(app, options->image);
  add_json(app, *verb.common);
  verb.run = [options, common = verb.common](Env& env) {
    return run_traces(*options, common->json, env);
  };
  return verb;
}

}  // namespace memspy::cli
