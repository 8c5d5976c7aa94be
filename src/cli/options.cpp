#include "cli/options.h"

#include <spdlog/fmt/fmt.h>
#include <CLI/CLI.hpp>
#include <charconv>
#include <climits>

#include "base/duration.h"
#include "cli/hints.h"

namespace memspy::cli {
namespace {

constexpr std::chrono::milliseconds kShortestInterval{1};

[[noreturn]] void refuse(const std::string& option, const std::string& message) {
  throw CLI::ValidationError(option, message);
}

std::optional<double> parse_number(const std::string& text) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

void add_text(CLI::App& app, const std::string& names, const std::string& type,
              const std::string& description, std::function<void(const std::string&)> set) {
  app.add_option_function<std::string>(names, std::move(set), description)
      ->type_name(type)
      ->take_last();
}

void set_engine(sampler::EngineChoice& target, const std::string& text) {
  using sampler::EngineChoice;
  if (text == "auto") {
    target = EngineChoice::kAuto;
  } else if (text == "bpf") {
    target = EngineChoice::kBpf;
  } else if (text == "faults") {
    target = EngineChoice::kFaults;
  } else if (text == "poll") {
    target = EngineChoice::kPoll;
  } else if (text == "rss") {
    target = EngineChoice::kRss;
  } else {
    refuse("--engine", "\"" + text + "\" is not one of auto, faults, bpf, poll, rss");
  }
}

// What --budget is when nobody says: watching blocks takes more stops than counting faults.
constexpr double kLiveBudget = 5;
constexpr double kAllocBudget = 5;  // so do ticks of a clock

void set_mode(SamplingOptions& options, const std::string& text) {
  using sampler::SamplingMode;
  SamplingMode& target = options.mode;
  if (text == "growth") {
    target = SamplingMode::kGrowth;
  } else if (text == "live") {
    target = SamplingMode::kLive;
    options.budget_percent = kLiveBudget;  // before --budget is looked at, which stands behind
  } else if (text == "alloc") {
    target = SamplingMode::kAlloc;
    options.budget_percent = kAllocBudget;
  } else {
    refuse("--mode", "\"" + text + "\" is not a mode; growth, live and alloc are");
  }
}

void add_interval(CLI::App& app, SamplingOptions& options) {
  auto* interval = app.add_option_function<std::string>(
      "-i,--interval",
      [&options](const std::string& text) {
        const auto parsed = parse_duration(text, /*bare_seconds=*/false);
        if (!parsed) refuse("--interval", parsed.error().message);
        if (*parsed < kShortestInterval) refuse("--interval", "less than 1ms");
        options.interval = *parsed;
      },
      "Time between two points of the series, with its unit (100ms, 1s)");
  interval->type_name("DUR")->take_last();
  auto* rate = app.add_option_function<std::string>(
      "-r,--rate",
      [&options](const std::string& text) {
        const auto hertz = parse_number(text);
        if (!hertz || !(*hertz > 0) || *hertz > 1000)
          refuse("--rate", "\"" + text + "\" is not a number from above 0 to 1000");
        options.interval = std::chrono::nanoseconds(static_cast<std::int64_t>(1e9 / *hertz));
      },
      "The same as points per second");
  rate->type_name("HZ")->take_last()->excludes(interval);
}

}  // namespace

Result<Pid> parse_pid(const std::string& text) {
  int value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size() || value <= 0)
    return make_error(Errc::kUsage, "\"" + text + "\" is not a PID: a positive decimal number");
  return Pid{value};
}

void add_duration(CLI::App& app, const std::string& names,
                  std::optional<std::chrono::nanoseconds>& target, bool bare_seconds,
                  const std::string& description, std::chrono::nanoseconds least) {
  const auto parse = [&target, names, bare_seconds, least](const std::string& text) {
    const auto parsed = parse_duration(text, bare_seconds);
    const std::string name = names.substr(names.rfind(',') + 1);
    if (!parsed) refuse(name, parsed.error().message);
    if (*parsed < least) refuse(name, "\"" + text + "\" is not more than nothing");
    target = *parsed;
  };
  add_text(app, names, "DUR", description, parse);
}

void add_count(CLI::App& app, const std::string& names, std::size_t& target,
               const std::string& description, std::size_t least, std::size_t most) {
  add_text(app, names, "N", description, [&target, names, least, most](const std::string& text) {
    const char* end = text.data() + text.size();
    std::size_t value = 0;
    const auto parsed = std::from_chars(text.data(), end, value);
    if (parsed.ec != std::errc{} || parsed.ptr != end || value < least || value > most)
      refuse(names.substr(names.rfind(',') + 1),
             fmt::format("\"{}\" is not a number from {} {}", text, least,
                         most == kMostCounted ? "on" : fmt::format("to {}", most)));
    target = value;
  });
}

void add_condition(CLI::App& app, const std::string& name, std::optional<Condition>& target,
                   const std::string& description, ConditionUse use) {
  add_text(app, name, "EXPR", description, [&target, name, use](const std::string& text) {
    auto condition = parse_condition(text, use);
    if (!condition) refuse(name, condition.error().message + ": " + condition.error().why);
    target = std::move(*condition);
  });
}

void add_percent(CLI::App& app, const std::string& names, double& target,
                 const std::string& description) {
  add_text(app, names, "PCT", description, [&target, names](const std::string& text) {
    const bool sign = !text.empty() && text.back() == '%';
    const auto value = parse_number(sign ? text.substr(0, text.size() - 1) : text);
    if (!value || !(*value >= 0 && *value <= 100))  // NaN is neither
      refuse(names, "\"" + text + "\" is not a percentage from 0 to 100");
    target = *value;
  });
}

void add_common(CLI::App& app, CommonOptions& options) {
  app.add_flag("-v,--verbose", options.verbose, "Say how it is done; twice: in detail");
  app.add_flag("-q,--quiet", options.quiet, "Only results and errors");
  app.add_flag("--no-color", options.no_color, "No colours (NO_COLOR, CLICOLOR_FORCE count too)");
  app.add_option("--config", options.config, "Options from a TOML file, by the same names")
      ->type_name("FILE")
      ->take_last();
}

void add_json(CLI::App& app, CommonOptions& options) {
  app.add_flag("-j,--json", options.json, "JSON on stdout, for scripts");
}

// Two of them are more likely two processes than a change of mind.
void add_target(CLI::App& app, TargetOptions& options) {
  app.add_option_function<std::vector<std::string>>(
         "-p,--pid,PID",
         [&options](const std::vector<std::string>& texts) {
           for (const std::string& text : texts) {
             const auto pid = parse_pid(text);
             if (!pid) refuse("--pid", pid.error().message);
             if (options.pid && *options.pid != *pid)
               refuse("--pid",
                      fmt::format("one process at a time, and here are {} and {}; -s takes "
                                  "a process' children too",
                                  options.pid->value, pid->value));
             options.pid = *pid;
           }
         },
         "The process; without one, choose from a list")
      ->type_name("PID")
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
}

void add_assume_layout(CLI::App& app, std::optional<int>& minor) {
  add_text(app, "--assume-layout", "X.Y",
           "Read a version memspy does not know as if it were CPython X.Y",
           [&minor](const std::string& text) {
             int value = 0;
             const char* stop = text.data() + text.size();
             const bool three = text.starts_with("3.") && text.size() > 2;
             if (!three || std::from_chars(text.data() + 2, stop, value).ptr != stop)
               refuse("--assume-layout", "\"" + text + "\" is not a version like 3.13");
             minor = value;
           });
}

void add_sampling(CLI::App& app, SamplingOptions& options) {
  app.add_flag("-s,--subprocesses", options.subprocesses, "Children too, now and later");
  add_interval(app, options);
  add_duration(app, "-d,--duration", options.duration, /*bare_seconds=*/true,
               "How long; a bare number is seconds; default: until stopped");
  add_text(app, "--mode", "growth|live|alloc",
           "What is sampled: growth of RSS, of the Python heap, or time spent allocating",
           [&options](const std::string& text) { set_mode(options, text); });
  add_duration(app, "--min-age", options.least_age, /*bare_seconds=*/false,
               "Mode live: only what has lived for so long (20ms)");
  add_count(app, "--min-collections", options.least_collections,
            "Mode live: only what has survived so many of the collector's runs (0)");
  add_text(app, "--engine", "auto|faults|bpf|poll|rss",
           "How growth is seen; auto takes the best allowed",
           [&options](const std::string& text) { set_engine(options.engine, text); });
  app.add_flag_callback(
         "--rss", [&options] { options.engine = sampler::EngineChoice::kRss; },
         "Only the time series, without attaching")
      ->excludes("--engine");
  add_duration(app, "--max-pause", options.max_pause, /*bare_seconds=*/false,
               "Never stop a thread for longer than this");
  add_percent(
      app, "--budget", options.budget_percent,
      "Cap of the stopped time plus memspy's own CPU, in percent (2; modes live and alloc: 5)");
  add_assume_layout(app, options.assume_minor);
}

void add_triggers(CLI::App& app, SamplingOptions& options) {
  add_condition(app, "--when", options.when, "Start once this holds: rss>2GiB, growth>50MiB/min");
  add_condition(app, "--fail-on", options.fail_on, "Exit 8 when this has held: rss>2GiB");
  add_percent(app, "--max-error", options.max_error_percent,
              "Exit 10 when more samples than this are rejected, in percent (50)");
}

void add_shape(CLI::App& app, ShapeOptions& options) {
  app.add_flag("-t,--threads", options.shape.threads, "A frame for each thread");
  app.add_flag("-F,--function", options.shape.functions, "By function, without lines");
  app.add_flag("--full-filenames", options.shape.full_filenames, "Whole paths");
  app.add_flag("--nolineno", options.shape.no_lines, "Leave the line numbers out");
  app.add_flag_callback(
      "--gross", [&options] { options.amount = recording::Amount::kGross; },
      "Touched bytes, without what was given back since");
}

void add_temporary(CLI::App& app, ShapeOptions& options) {
  app.add_flag_callback(
         "--temporary", [&options] { options.amount = recording::Amount::kTemporary; },
         "Mode live: instead, the objects that were seen to come and go")
      ->excludes("--gross");
}

Result<Unit> check_sampling(const SamplingOptions& options) {
  const bool live = options.mode == sampler::SamplingMode::kLive;
  if (!live && options.least_age)
    return usage_error("--min-age is of mode live", "pages and ticks of a clock have no age",
                       "add --mode live");
  if (!live && options.least_collections > 0)
    return usage_error("--min-collections is of mode live",
                       "of pages and ticks of a clock nobody knows what the collector did to them",
                       "add --mode live");
  return Unit{};
}

sampler::SessionOptions to_session_options(const SamplingOptions& options) {
  sampler::SessionOptions session;
  session.subprocesses = options.subprocesses;
  session.native = options.native;
  session.mode = options.mode;
  session.least_age = {options.least_age.value_or(session.least_age.time),
                       options.least_collections};
  session.engine = options.engine;
  if (options.interval) session.interval = *options.interval;
  session.duration = options.duration;
  session.budget_percent = options.budget_percent;
  session.max_pause = options.max_pause;
  session.assume_minor = options.assume_minor;
  return session;
}

}  // namespace memspy::cli
