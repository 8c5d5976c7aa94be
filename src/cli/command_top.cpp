// memspy top: full screen, batch or JSON; without a PID every Python process of the host.
#include <CLI/CLI.hpp>

#include "base/log.h"
#include "cli/commands.h"
#include "cli/daemon_list.h"
#include "cli/hints.h"
#include "cli/top_loop.h"

namespace memspy::cli {
namespace {

struct DaemonList {
  bool wanted = false;
  std::string socket;
};

// The list is the daemon's, asked for at each refresh. A daemon that ends meanwhile leaves it
// empty.
Result<Unit> list_daemon(const DaemonList& list, const TopOptions& options, Env& env) {
  if (options.target.pid) return usage_error("give a PID or --daemon, not both");
  MEMSPY_CHECK(list_daemon_targets(list.socket));
  env.list_python = [socket = list.socket] {
    return list_daemon_targets(socket).value_or(std::vector<ProcessRow>{});
  };
  return Unit{};
}

Result<ExitCode> run_top(TopOptions options, const DaemonList& list, Env& env) {
  MEMSPY_CHECK(check_sampling(options.sampling));
  if (list.wanted) MEMSPY_CHECK(list_daemon(list, options, env));
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
  MEMSPY_TRY(terminal, open_curses_terminal(env.colour));
  return run_top_screen(options, *terminal, env);
}

}  // namespace

Verb add_top(CLI::App& root) {
  Verb verb =
      add_verb(root, "top", "Full-screen live view of what grows; every process without a PID");
  const auto options = std::make_shared<TopOptions>();
  const auto list = std::make_shared<DaemonList>();
  CLI::App& app = *verb.app;
  add_target(app, options->target);
  add_sampling(app, options->sampling);
  // -n is the iterations, as in the top of procps.
  app.add_flag("--native", options->sampling.native, "Native frames among the Python ones");
  app.add_flag("-F,--function", options->functions, "By function, without lines");
  app.add_flag("-b,--batch", options->batch, "Plain text, one screen after the other");
  add_count(app, "-n,--iterations", options->repeats,
            "How many refreshes of a batch; without it: until stopped", 1);
  add_count(app, "--rows", options->rows, "Rows of a batch (20)", 1);
  auto* daemon = app.add_flag("--daemon", list->wanted, "The list of the daemon's targets");
  app.add_option("--socket", list->socket, "With --daemon: where it answers")
      ->type_name("PATH")
      ->needs(daemon);
  add_json(app, *verb.common);
  verb.run = [options, list, common = verb.common](Env& env) {
    options->json = common->json;
    return run_top(*options, *list, env);
  };
  return verb;
}

}  // namespace memspy::cli
