// memspy top: full screen, batch or JSON; without a PID every Python process of the host.
#include <CLI/CLI.hpp>

#include "base/log.h"
#include "cli/commands.h"
#include "cli/hints.h"
#include "cli/top_loop.h"

namespace memspy::cli {
namespace {

Result<ExitCode> run_top(TopOptions options, Env& env) {
  if (options.batch || options.json) return run_top_batch(options, env);
  if (!env.out_terminal || !env.in_terminal)
    return usage_error("top needs a terminal", "standard output or input is not one",
                       "memspy top --batch -n 1, or --json");
  init_logging(/*verbosity=*/-1, /*colour=*/false);  // a remark would tear the screen
  env.verbosity = -1;
  if (options.target.pid) {
    const auto stat = env.proc.stat(*options.target.pid);  // before the screen is taken
    if (!stat) return stat.error();
  }
  const auto terminal = open_curses_terminal(env.colour);
  return run_top_screen(options, *terminal, env);
}

}  // namespace

Verb add_top(CLI::App& root) {
  Verb verb =
      add_verb(root, "top", "Full-screen live view of what grows; every process without a PID");
  const auto options = std::make_shared<TopOptions>();
  CLI::App& app = *verb.app;
  add_target(app, options->target);
  add_sampling(app, options->sampling);
  app.add_flag("-F,--function", options->functions, "By function, without lines");
  app.add_flag("-b,--batch", options->batch, "Plain text, one screen after the other");
  app.add_option("-n,--iterations", options->repeats, "How many refreshes of a batch")
      ->type_name("N")
      ->take_last();
  app.add_option("--rows", options->rows, "Rows of a batch (20)")->type_name("N")->take_last();
  add_json(app, *verb.common);
  verb.run = [options, common = verb.common](Env& env) {
    options->json = common->json;
    return run_top(*options, env);
  };
  return verb;
}

}  // namespace memspy::cli
