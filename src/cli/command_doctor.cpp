// memspy doctor: can memspy see a process; if not, exactly what to change.
#include <CLI/CLI.hpp>

#include "cli/commands.h"
#include "cli/doctor_view.h"
#include "cli/process_facts.h"
#include "cli/process_list.h"

namespace memspy::cli {
namespace {

struct DoctorOptions {
  TargetOptions target;
  std::optional<int> assume_minor;
};

Result<ExitCode> run_doctor(const DoctorOptions& options, bool json, Env& env) {
  MEMSPY_TRY(pid, resolve_target(options.target, env));
  const auto stat = env.proc.stat(pid);
  if (!stat && stat.error().code == Errc::kNoSuchProcess) {
    MEMSPY_CHECK(env.check_access(pid));  // which says where else it may be
    return stat.error();
  }
  DoctorModel model;
  model.pid = pid;
  const auto words = env.proc.command_line(pid);
  model.command = one_line_command(words.value_or({}), stat ? stat->comm : "?");
  model.findings = env.diagnose(pid);
  ExitCode code = ExitCode::kOk;
  const auto access = env.check_access(pid);
  if (access.has_value()) {
    auto found = env.find_interpreter(pid, options.assume_minor, model.attempts);
    if (found) {
      model.version = found->version();
      model.layout = std::string(found->layout().source);
    } else {
      model.refusal = describe(found.error());
      code = exit_code_for(found.error().code);
    }
  } else {
    model.refusal = "not looked for: " + describe(access.error());
    code = exit_code_for(access.error().code);
  }
  if (json) {
    env.out << json_text(doctor_json(model)) << '\n';
  } else {
    env.out << doctor_text(model, env.verbosity > 0);
  }
  return code;
}

}  // namespace

Verb add_doctor(CLI::App& root) {
  Verb verb = add_verb(root, "doctor", "Can memspy see a process; if not, exactly what to change");
  const auto options = std::make_shared<DoctorOptions>();
  add_target(*verb.app, options->target);
  add_assume_layout(*verb.app, options->assume_minor);
  add_json(*verb.app, *verb.common);
  verb.run = [options, common = verb.common](Env& env) {
    return run_doctor(*options, common->json, env);
  };
  return verb;
}

}  // namespace memspy::cli
