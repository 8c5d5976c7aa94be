#include "cli/live_run.h"

#include <spdlog/fmt/fmt.h>

#include "base/byte_units.h"
#include "base/duration.h"
#include "cli/launched_command.h"
#include "cli/process_facts.h"
#include "cli/signals.h"
#include "cli/target_fate.h"
#include "procfs/processes.h"

namespace memspy::cli {
namespace {

constexpr std::chrono::milliseconds kWhenPoll{200};

std::string target_text(const ProcessRecord& target) {
  std::string text = fmt::format("{} ({}", target.identity.pid.value, printable(target.name));
  if (!target.python_version.empty()) text += ", CPython " + target.python_version;
  return text + ")";
}

Error gone_before_a_sample(const LiveResult& result) {
  Error error = make_error(
      Errc::kTargetGone,
      fmt::format("PID {} ended before the first good sample", target_text(result.target)));
  error.why = result.summary.ended_by;
  return error;
}

Error stopped_waiting(std::string why) {
  Error error = make_error(Errc::kInternal, fmt::format("ended by {} before anything was sampled",
                                                        SignalScope::stop_reason()));
  error.why = std::move(why);
  error.hint = "nothing was written; run it again, for longer";
  return error;
}

std::uint64_t rss_of_descendants(const procfs::ProcDir& proc, Pid pid) {
  std::uint64_t bytes = 0;
  for (const Pid child : procfs::descendants(proc, pid)) {
    const auto statm = proc.statm(child);
    if (statm.has_value()) bytes += statm->rss_bytes();
  }
  return bytes;
}

// Stacks that were not read within --max-pause.
double given_up(const RunSummary& summary) {
  for (const auto& [name, count] : summary.counters)
    if (name == "partial_samples") return count;
  return 0;
}

void remark(const RunSummary& summary, const WatchSink& watch, Env& env) {
  for (const auto& [kind, gaps] : watch.gaps()) {
    const std::string times = gaps.count > 1 ? fmt::format(" ({} times)", gaps.count) : "";
    say(env, gaps.last + times);
  }
  if (const double count = given_up(summary); count > 0)
    say(env, fmt::format("{:.0f} stacks were given up at --max-pause; what they stood for is in "
                         "[unattributed] unless a record of the fault told where it was",
                         count));
}

sampler::SessionOptions session_options(const LiveRequest& request, const Env& env) {
  sampler::SessionOptions options = to_session_options(request.sampling);
  options.pid = request.pid;
  if (!request.pid) options.launch = request.command;
  options.command_line = env.command_line;
  return options;
}

void announce(const sampler::Session& session, const TargetFate& fate, Env& env) {
  const RunHeader& header = session.header();
  say(env, fmt::format("sampling {}; engine {}{}", target_text(session.target()), header.engine,
                       header.engine_reason.empty() ? "" : ": " + header.engine_reason));
  if (const std::string state = fate.at_start(); !state.empty()) say(env, state);
}

Result<Unit> check_measured(const LiveResult& result, const WatchSink& watch) {
  if (watch.measured() || result.summary.samples > 0) return Unit{};
  if (result.summary.ended_by.starts_with("target")) return gone_before_a_sample(result);
  if (SignalScope::stop_reason() != nullptr)
    return stopped_waiting("the signal came before the first look");
  return Unit{};
}

std::string unwatched_text(std::size_t count) {
  return fmt::format("{} of its children {} Python too and {} not watched: -s does", count,
                     count == 1 ? "is" : "are", count == 1 ? "was" : "were");
}

}  // namespace

Result<Unit> wait_for(const Condition& condition, Pid pid, bool subprocesses, Env& env) {
  say(env, fmt::format("waiting until {} holds for PID {}", condition.text, pid.value));
  ConditionWatch watch(condition);
  const SteadyTime start = env.clock.now();
  for (;;) {
    if (SignalScope::stop_reason() != nullptr)
      return stopped_waiting(fmt::format("{} did not hold in {}", condition.text,
                                         format_duration(env.clock.now() - start)));
    const auto statm = env.proc.statm(pid);
    if (!statm) {
      if (statm.error().code != Errc::kNoSuchProcess) return statm.error();
      return make_error(Errc::kTargetGone,
                        fmt::format("PID {} ended before {} held", pid.value, condition.text));
    }
    const std::uint64_t rss =
        statm->rss_bytes() + (subprocesses ? rss_of_descendants(env.proc, pid) : 0);
    if (watch.update(env.clock.now() - start, static_cast<double>(rss))) {
      say(env, fmt::format("{} holds: RSS is {}", condition.text, format_bytes(rss)));
      return Unit{};
    }
    env.sleep(kWhenPoll);
  }
}

Result<LiveResult> run_live(const LiveRequest& request, SampleSink& sink, const WatchSink& watch,
                            Env& env, const Started& started) {
  MEMSPY_CHECK(check_sampling(request.sampling));
  SignalScope signals;
  if (request.sampling.when && request.pid)
    MEMSPY_CHECK(
        wait_for(*request.sampling.when, *request.pid, request.sampling.subprocesses, env));
  std::optional<TargetFate> fate;
  if (request.pid) fate.emplace(env.proc, *request.pid);
  MEMSPY_TRY(session, env.start_session(session_options(request, env), sink));
  if (!fate) fate.emplace(env.proc, session->target().identity.pid);
  signals.watch(*session);
  announce(*session, *fate, env);
  if (started) started(*session);
  auto summary = session->run();
  signals.unwatch();
  const std::size_t unwatched =
      request.sampling.subprocesses
          ? 0
          : procfs::python_descendants(env.proc, session->target().identity.pid).size();
  std::optional<Error> no_python;
  if (const auto launched = session->launched()) {
    if (summary) no_python = explain_no_python(request, session->header(), *summary, watch, env);
    if (!request.keep_running) end_launched(*launched, SignalScope::from_terminal(), env);
  }
  if (!summary) return summary.error();
  LiveResult result{std::move(*summary), session->header(), session->target(),
                    std::move(no_python)};
  MEMSPY_CHECK(check_measured(result, watch));
  if (unwatched > 0 && !result.no_python) say(env, unwatched_text(unwatched));
  if (const std::string end = fate->at_end(result.summary.ended_by); !end.empty())
    say(env, fmt::format("PID {} ended: {}", result.target.identity.pid.value, end));
  return result;
}

ExitCode judge(const RunSummary& summary, const WatchSink& watch, const SamplingOptions& sampling,
               Env& env) {
  remark(summary, watch, env);
  if (const auto& wanted = sampling.fail_on;
      wanted && wanted->per_seconds && summary.duration < kShortestRate) {
    say(env, fmt::format("--fail-on {}: {} were too short for a rate, which takes {}", wanted->text,
                         format_duration(summary.duration), format_duration(kShortestRate)));
  }
  if (const auto& at = watch.failed_at()) {
    say(env,
        fmt::format("--fail-on {} was met after {}", sampling.fail_on->text, format_duration(*at)));
    return ExitCode::kFailOn;
  }
  const double rejected = static_cast<double>(summary.rejected) + given_up(summary);
  const double all = static_cast<double>(summary.samples) + rejected;
  const double share = all > 0 ? 100 * rejected / all : 0;
  if (share <= sampling.max_error_percent) return ExitCode::kOk;
  say(env, fmt::format("{:.1f} % of the samples were rejected; --max-error allows {:g} %", share,
                       sampling.max_error_percent));
  return ExitCode::kTooManyRejected;
}

}  // namespace memspy::cli
