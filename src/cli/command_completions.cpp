// memspy completions: the script for a shell.
#include <CLI/CLI.hpp>

#include "cli/app.h"
#include "cli/commands.h"
#include "cli/completions.h"
#include "cli/hints.h"

namespace memspy::cli {
namespace {

Result<ExitCode> run_completions(const std::string& shell, Env& env) {
  const auto app = make_app();
  const ProgramModel program = describe_program(*app);
  if (shell == "bash") {
    env.out << bash_completion(program);
  } else if (shell == "zsh") {
    env.out << zsh_completion(program);
  } else if (shell == "fish") {
    env.out << fish_completion(program);
  } else {
    return usage_error("\"" + shell + "\" is not bash, zsh or fish", "",
                       "memspy completions bash > /etc/bash_completion.d/memspy");
  }
  return ExitCode::kOk;
}

}  // namespace

Verb add_completions(CLI::App& root) {
  Verb verb = add_verb(root, "completions", "The completion script for a shell");
  const auto shell = std::make_shared<std::string>();
  verb.app->add_option("SHELL", *shell, "bash, zsh or fish")
      ->type_name("bash|zsh|fish")
      ->required();
  verb.run = [shell](Env& env) { return run_completions(*shell, env); };
  return verb;
}

}  // namespace memspy::cli
