// memspy record: sample a process, or launch a command, and write a profile.
#include <spdlog/fmt/fmt.h>
#include <CLI/CLI.hpp>

#include "base/duration.h"
#include "base/path.h"
#include "cli/checkpoint.h"
#include "cli/commands.h"
#include "cli/hints.h"
#include "cli/json_text.h"
#include "cli/live_run.h"
#include "cli/process_list.h"
#include "cli/progress.h"
#include "cli/record_outputs.h"
#include "cli/report_options.h"
#include "cli/signals.h"
#include "recording/summary_json.h"
#include "recording/tee_sink.h"
#include "report/figures.h"

namespace memspy::cli {
namespace {

struct RecordOptions {
  TargetOptions target;
  LiveRequest live;
  ShapeOptions shape;
  OutputRequest output;
  std::optional<std::chrono::nanoseconds> checkpoint;
  bool has_command = false;
};

Result<Unit> settle_target(RecordOptions& options, Env& env) {
  if (!options.has_command) {
    MEMSPY_TRY(pid, resolve_target(options.target, env));
    options.live.pid = pid;
    options.output.facts.pid = pid;
    if (const auto stat = env.proc.stat(pid)) options.output.facts.name = stat->comm;
    return Unit{};
  }
  if (options.target.pid) return usage_error("give a PID or a command, not both");
  if (options.live.command.empty()) return usage_error("there is no command after --");
  if (options.live.sampling.when)
    return usage_error("--when waits for a running process, not for a command to launch");
  const std::string& program = options.live.command.front();
  options.output.facts.name = base_name(program);
  return Unit{};
}

Json summary_document(const LiveResult& result, const std::string& path,
                      const RecordOutputs& outputs) {
  Json json = recording::summary_json(result.summary, result.header.engine);
  json["pid"] = result.target.identity.pid.value;
  json["python_version"] = result.target.python_version;
  json["output"] = path;
  json["format"] = outputs.format().name;
  return json;
}

Result<ExitCode> run_record(RecordOptions options, bool json, Env& env) {
  MEMSPY_CHECK(check_sampling(options.live.sampling));
  MEMSPY_CHECK(check_amount(sampler::mode_name(options.live.sampling.mode), options.shape.amount));
  MEMSPY_CHECK(settle_target(options, env));
  options.output.facts.wall_time = env.wall_now();
  options.output.facts.host = host_name();
  options.output.shape = format_options(options.shape);
  options.output.shape.shape.processes = options.live.sampling.subprocesses;
  if (options.output.output == "-" && options.checkpoint)
    return usage_error("--checkpoint needs a file: what was printed cannot be taken back");
  const SignalScope signals;
  MEMSPY_TRY(outputs, RecordOutputs::plan(options.output, env));

  Progress progress(env, options.live.sampling.duration);
  Checkpoints checkpoints(*outputs, options.checkpoint, env);
  WatchSink watch(options.live.sampling.fail_on,
                  [&](std::chrono::nanoseconds time) -> Result<Unit> {
                    outputs->set_worth_keeping();
                    progress.on_tick(time, watch);
                    return checkpoints.on_tick(time);
                  });
  recording::TeeSink sink({&outputs->sink(), &watch});
  auto result = run_live(options.live, sink, watch, env, [&](sampler::Session& session) {
    outputs->set_target(session.target().identity.pid, session.target().name);
    outputs->set_modules(session.modules());
  });
  progress.clear();
  if (!result) return outputs->name_what_is_kept(std::move(result).error());
  MEMSPY_TRY(path, outputs->finish());
  if (path != "-") say(env, "wrote " + path);
  say(env, report::evidence_line(report::run_figures(result->summary)));
  if (json) env.out << json_text(summary_document(*result, path, *outputs)) << '\n';
  const ExitCode code = judge(result->summary, watch, options.live.sampling, env);
  if (!result->no_python) return code;
  Error error = std::move(*result->no_python);
  if (path != "-") error.why += "\nwhat was sampled all the same is in " + path;
  if (code != ExitCode::kFailOn) return error;
  print_error(env.err, error);  // the condition was asked for by name: its code stands
  return code;
}

void add_output(CLI::App& app, RecordOptions& options) {
  std::string formats;
  for (const sinks::Format& format : sinks::formats())
    formats += (formats.empty() ? "" : "|") + std::string(format.name);
  OutputRequest& output = options.output;
  app.add_option(
         "-o,--output", output.output,
         "Where to; - is stdout; %p pid, %t time, %h host, %n name (memspy-%n-%p-%t.memspy)")
      ->type_name("FILE")
      ->take_last();
  app.add_option("-f,--format", output.format, "What; else by the suffix of -o")
      ->type_name(formats)
      ->take_last();
  app.add_option("--timeseries", output.timeseries, "The time series too: FILE.csv or FILE.jsonl")
      ->type_name("FILE")
      ->take_last();
  app.add_flag("--force", output.force, "Replace files that exist");
  add_duration(app, "--checkpoint", options.checkpoint, /*bare_seconds=*/false,
               "Write valid outputs this often, as on SIGUSR1, and go on");
}

}  // namespace

Verb add_record(CLI::App& root) {
  Verb verb =
      add_verb(root, "record", "Sample a process, or launch a command, and write a profile");
  const auto options = std::make_shared<RecordOptions>();
  CLI::App& app = *verb.app;
  add_target(app, options->target);
  add_output(app, *options);
  add_sampling(app, options->live.sampling);
  app.add_flag("-n,--native", options->live.sampling.native, "Native frames among the Python ones");
  add_triggers(app, options->live.sampling);
  add_shape(app, options->shape);
  add_temporary(app, options->shape);
  app.add_flag("--keep-running", options->live.keep_running,
               "Leave a launched command running at the end");
  add_json(app, *verb.common);
  app.footer("memspy record [OPTIONS] -- CMD [ARGS]   launches CMD and samples it from birth");
  verb.set_command = [options](std::vector<std::string> command) {
    options->live.command = std::move(command);
    options->has_command = true;
  };
  verb.run = [options, common = verb.common](Env& env) {
    return run_record(*options, common->json, env);
  };
  return verb;
}

}  // namespace memspy::cli
