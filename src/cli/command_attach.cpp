// memspy attach: a live session, a status line per interval, the verdict at the end.
#include <CLI/CLI.hpp>

#include "base/duration.h"
#include "cli/attach_alert.h"
#include "cli/attach_view.h"
#include "cli/commands.h"
#include "cli/hand_over.h"
#include "cli/hints.h"
#include "cli/json_text.h"
#include "cli/live_run.h"
#include "cli/naming_sink.h"
#include "cli/native_names.h"
#include "cli/process_list.h"
#include "cli/top_model.h"
#include "recording/summary_json.h"
#include "recording/tee_sink.h"
#include "report/figures.h"

namespace memspy::cli {
namespace {

struct AttachOptions {
  TargetOptions target;
  SamplingOptions sampling;
  ShapeOptions shape;
  HandOver hand_over;
  AttachAlertOptions alert;
};

Json end_json(const LiveResult& result, const std::string& verdict) {
  Json json = recording::summary_json(result.summary, result.header.engine);
  json["schema"] = "memspy.attach/1";
  json["event"] = "end";
  json["pid"] = result.target.identity.pid.value;
  json["verdict"] = verdict;
  return json;
}

Json alert_json(const AttachAlert& alert, const std::string& state, std::chrono::nanoseconds time,
                Pid pid) {
  Json json = {{"schema", "memspy.attach/1"}, {"event", "alert"}};
  json["time_seconds"] = to_seconds(time);
  json["pid"] = pid.value;
  json.update(alert.json(state));
  return json;
}

Result<ExitCode> run_attach(const AttachOptions& options, bool json, Env& env) {
  MEMSPY_TRY(pid, resolve_target(options.target, env));
  if (options.hand_over.daemon) return hand_over(options.hand_over, pid, json, env);
  LiveRequest request;
  request.pid = pid;
  request.sampling = options.sampling;
  TopModel model;
  AttachAlert alert(options.alert);
  const AttachStyle style{!options.shape.shape.functions, options.sampling.native};
  sampler::Session* session = nullptr;
  WatchSink watch(options.sampling.fail_on, [&](std::chrono::nanoseconds time) -> Result<Unit> {
    if (const std::string state = alert.update(time, model); !state.empty())
      env.out << (json ? json_text(alert_json(alert, state, time, pid)) : alert.text(state))
              << '\n';
    if (alert.report_due(time))
      env.out << (json ? json_text(attach_status_json(model, style, pid)) + '\n'
                       : attach_status_text(model, style, time));
    env.out << std::flush;
    // A reader that went away has seen enough; main() tells that from a full disk.
    if (!env.out.good() && session != nullptr) session->stop("standard output closed");
    return Unit{};
  });
  symbolize::Symbolizer symbolizer(files_of(env.proc, pid));
  NamingSink naming(model, [&](const Frame& frame) { return name_frame(frame, symbolizer); });
  recording::TeeSink sink({style.native ? static_cast<SampleSink*>(&naming) : &model, &watch});
  MEMSPY_TRY(result, run_live(request, sink, watch, env,
                              [&](sampler::Session& started) { session = &started; }));
  const std::string verdict = report::verdict(model.profile(), options.shape.shape);
  if (json) {
    Json end = end_json(result, verdict);
    if (options.alert.alert) end["alert"] = alert.summary_json();
    env.out << json_text(end) << '\n';
  } else {
    env.out << verdict << '\n';
    if (const std::string summary = alert.summary(); !summary.empty()) env.out << summary << '\n';
    say(env, report::evidence_line(report::run_figures(result.summary)));
  }
  tell_missing(symbolizer, files_of(env.proc, pid).sysroot, env, Addresses::kGone);
  return judge(result.summary, watch, options.sampling, env);
}

}  // namespace

Verb add_attach(CLI::App& root) {
  Verb verb =
      add_verb(root, "attach", "A live session: a line per interval, the verdict at the end");
  const auto options = std::make_shared<AttachOptions>();
  CLI::App& app = *verb.app;
  add_target(app, options->target);
  add_sampling(app, options->sampling);
  app.add_flag("-n,--native", options->sampling.native,
               "The native function too that the line ends in");
  add_triggers(app, options->sampling);
  add_shape(app, options->shape);
  add_attach_alert(app, options->alert);
  add_hand_over(app, options->hand_over);
  add_json(app, *verb.common);
  verb.run = [options, common = verb.common](Env& env) {
    return run_attach(*options, common->json, env);
  };
  return verb;
}

}  // namespace memspy::cli
