// The program: parses a command line, runs one verb, and turns what came of it into messages and an
// exit code.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "cli/env.h"
#include "cli/options.h"

namespace memspy::cli {

// `args` without the program's name. Never throws; returns the exit code.
int run_memspy(std::vector<std::string> args, Env& env);

// The parser with every verb, as completions and man pages are made from it.
struct App {
  std::unique_ptr<CLI::App> root;
  std::vector<Verb> verbs;
  CommonOptions common;  // given before the verb
  App();
  ~App();
};
std::unique_ptr<App> make_app();

}  // namespace memspy::cli
