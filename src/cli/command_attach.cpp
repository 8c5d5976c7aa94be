// memspy attach: a live session, a status line per interval, the verdict at the end.
#include <spdlog/fmt/fmt.h>
#include <CLI/CLI.hpp>

#include <algorithm>
#include <cmath>

#include "base/byte_units.h"
#include "base/duration.h"
#include "cli/commands.h"
#include "cli/hints.h"
#include "cli/json_text.h"
#include "cli/live_run.h"
#include "cli/process_facts.h"
#include "cli/process_list.h"
#include "cli/top_model.h"
#include "cli/top_view.h"
#include "recording/summary_json.h"
#include "report/figures.h"

namespace memspy::cli {
namespace {

constexpr std::size_t kMostWorkers = 8;  // under a status line

struct AttachOptions {
  TargetOptions target;
  SamplingOptions sampling;
  ShapeOptions shape;
  bool daemon = false;
};

TopQuery query_of(const AttachOptions& options) {
  TopQuery query;
  query.by_line = !options.shape.shape.functions;
  return query;
}

// What grows now; when nothing does, what has grown most.
std::optional<TopRow> top_row(const TopModel& model, TopQuery query) {
  auto rows = model.rows(query);
  if (!rows.empty() && rows.front().now_bytes_per_second <= 0) {
    query.sort = TopSort::kOwn;
    rows = model.rows(query);
  }
  if (rows.empty() || rows.front().own_bytes <= 0) return std::nullopt;
  return rows.front();
}

// A line each under the total, figures below its figures.
std::string workers_text(const TopModel& model, const AttachOptions& options) {
  if (!model.with_children() || model.process_count() < 2) return {};
  std::string text;
  const auto workers = model.workers(query_of(options).by_line);
  const std::size_t shown = std::min(workers.size(), kMostWorkers);
  for (std::size_t i = 0; i < shown; ++i) {
    const WorkerRow& row = workers[i];
    const auto& rate = row.growth_per_minute;
    text += fmt::format("{:>11}      {:>9}  {:>11}/min  {}", row.pid.value,
                        format_bytes(static_cast<std::uint64_t>(row.rss_bytes)),
                        rate ? format_signed_bytes(std::llround(*rate)) : "-", printable(row.name));
    if (row.top) text += "  " + place_text(row.top->function, row.top->file, row.top->line);
    text += '\n';
  }
  if (shown < workers.size()) text += "   " + more_workers(workers.size() - shown) + '\n';
  return text;
}

std::string status_text(const TopModel& model, const AttachOptions& options,
                        std::chrono::nanoseconds time) {
  const double rss = model.figure(SeriesColumn::kRssBytes).value_or(0);
  const auto rate = model.growth_per_minute();
  std::string text = fmt::format("{:>11}  RSS {:>9}  {:>11}/min", format_duration(time),
                                 format_bytes(static_cast<std::uint64_t>(rss)),
                                 rate ? format_signed_bytes(std::llround(*rate)) : "-");
  if (const auto row = top_row(model, query_of(options)))
    text += fmt::format("  {} {}", format_signed_bytes(row->own_bytes),
                        place_text(row->function, row->file, row->line));
  return text + '\n' + workers_text(model, options);
}

Json status_json(const TopModel& model, const AttachOptions& options, Pid pid) {
  const auto rate = model.growth_per_minute();
  Json json = {{"schema", "memspy.attach/1"},
               {"event", "status"},
               {"time_seconds", to_seconds(model.now())},
               {"pid", pid.value}};
  json["rss_bytes"] = std::llround(model.figure(SeriesColumn::kRssBytes).value_or(0));
  json["growth_bytes_per_minute"] = rate ? Json(std::llround(*rate)) : Json(nullptr);
  json["top"] = nullptr;
  if (const auto row = top_row(model, query_of(options)))
    json["top"] = {{"function", row->function},
                   {"file", row->file},
                   {"line", row->line},
                   {"own_bytes", row->own_bytes},
                   {"growth_bytes_per_second", row->now_bytes_per_second}};
  if (model.with_children()) json["workers"] = workers_json(model, query_of(options).by_line);
  return json;
}

Json end_json(const LiveResult& result, const std::string& verdict) {
  Json json = recording::summary_json(result.summary, result.header.engine);
  json["schema"] = "memspy.attach/1";
  json["event"] = "end";
  json["pid"] = result.target.identity.pid.value;
  json["verdict"] = verdict;
  return json;
}

Result<ExitCode> run_attach(const AttachOptions& options, bool json, Env& env) {
  if (options.daemon) return usage_error("attach --daemon is not available in this version");
  MEMSPY_TRY(pid, resolve_target(options.target, env));
  LiveRequest request;
  request.pid = pid;
  request.sampling = options.sampling;
  TopModel model;
  sampler::Session* session = nullptr;
  WatchSink watch(options.sampling.fail_on, [&](std::chrono::nanoseconds time) -> Result<Unit> {
    env.out << (json ? json_text(status_json(model, options, pid)) + '\n'
                     : status_text(model, options, time))
            << std::flush;
    // A reader that went away has seen enough; main() tells that from a full disk.
    if (!env.out.good() && session != nullptr) session->stop("standard output closed");
    return Unit{};
  });
  TeeSink sink({&model, &watch});
  MEMSPY_TRY(result, run_live(request, sink, watch, env,
                              [&](sampler::Session& started) { session = &started; }));
  const std::string verdict = report::verdict(model.profile(), options.shape.shape);
  if (json) {
    env.out << json_text(end_json(result, verdict)) << '\n';
  } else {
    env.out << verdict << '\n';
    say(env, report::evidence_line(report::run_figures(result.summary)));
  }
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
  add_triggers(app, options->sampling);
  add_shape(app, options->shape);
  app.add_flag("--daemon", options->daemon)->group("");  // a later version's; said, not advertised
  add_json(app, *verb.common);
  verb.run = [options, common = verb.common](Env& env) {
    return run_attach(*options, common->json, env);
  };
  return verb;
}

}  // namespace memspy::cli
