// The options that mean the same in every verb, declared once.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cli/condition.h"
#include "cli/env.h"
#include "cli/exit_code.h"
#include "memspy/address.h"
#include "memspy/result.h"
#include "recording/profile.h"
#include "sampler/session.h"

namespace CLI {
class App;
}

namespace memspy::cli {

struct CommonOptions {
  int verbose = 0;
  bool quiet = false;
  bool no_color = false;
  bool json = false;
  std::string config;  // read before the parse; here for the help
};

struct TargetOptions {
  std::optional<Pid> pid;
};

struct SamplingOptions {
  bool subprocesses = false;
  bool native = false;
  std::optional<std::chrono::nanoseconds> interval;
  std::optional<std::chrono::nanoseconds> duration;
  sampler::SamplingMode mode = sampler::SamplingMode::kGrowth;
  std::optional<std::chrono::nanoseconds> least_age;
  std::size_t least_collections = 0;
  sampler::EngineChoice engine = sampler::EngineChoice::kAuto;
  std::optional<std::chrono::nanoseconds> max_pause;
  double budget_percent = 2;
  std::optional<int> assume_minor;
  double max_error_percent = 50;
  std::optional<Condition> when;
  std::optional<Condition> fail_on;
};

struct ShapeOptions {
  recording::StackShape shape;
  recording::Amount amount = recording::Amount::kNet;
};

// What a verb is to the program: its part of the parser, and what to run once it was parsed.
struct Verb {
  CLI::App* app = nullptr;
  std::shared_ptr<CommonOptions> common;
  std::function<Result<ExitCode>(Env&)> run;
  // Set when the verb takes a command after `--`.
  std::function<void(std::vector<std::string>)> set_command;
  // --config is a file of the verb's own kind, not of options.
  bool own_config = false;
};

void add_common(CLI::App& app, CommonOptions& options);
void add_json(CLI::App& app, CommonOptions& options);
void add_target(CLI::App& app, TargetOptions& options);
void add_sampling(CLI::App& app, SamplingOptions& options);
void add_triggers(CLI::App& app, SamplingOptions& options);
void add_assume_layout(CLI::App& app, std::optional<int>& minor);
void add_shape(CLI::App& app, ShapeOptions& options);
// Besides, of mode live: what came and went.
void add_temporary(CLI::App& app, ShapeOptions& options);

// `names` as CLI11 takes them. Bad values throw CLI::ValidationError with a text for people.
void add_duration(CLI::App& app, const std::string& names,
                  std::optional<std::chrono::nanoseconds>& target, bool bare_seconds,
                  const std::string& description,
                  std::chrono::nanoseconds least = std::chrono::nanoseconds(1));
inline constexpr std::size_t kMostCounted = 1'000'000'000;
// A whole number from `least` to `most`.
void add_count(CLI::App& app, const std::string& names, std::size_t& target,
               const std::string& description, std::size_t least = 0,
               std::size_t most = kMostCounted);
// Of --when and --fail-on.
void add_condition(CLI::App& app, const std::string& name, std::optional<Condition>& target,
                   const std::string& description, ConditionUse use = ConditionUse::kProcess);
void add_percent(CLI::App& app, const std::string& names, double& target,
                 const std::string& description);

Result<Pid> parse_pid(const std::string& text);

// What does not go together: kUsage.
Result<Unit> check_sampling(const SamplingOptions& options);

sampler::SessionOptions to_session_options(const SamplingOptions& options);

}  // namespace memspy::cli
