#include "cli/hand_over.h"

#include <spdlog/fmt/fmt.h>
#include <CLI/CLI.hpp>

#include "base/duration.h"
#include "cli/options.h"
#include "daemon/config.h"
#include "daemon/control_socket.h"

namespace memspy::cli {

void add_hand_over(CLI::App& app, HandOver& options) {
  auto* flag = app.add_flag("--daemon", options.daemon, "Have the daemon trace it");
  add_duration(app, "--for", options.time, /*bare_seconds=*/true,
               "With --daemon: for how long (10m)");
  app.get_option("--for")->needs(flag);
  app.add_option("--socket", options.socket, "With --daemon: where it answers")
      ->type_name("PATH")
      ->needs(flag);
}

Result<ExitCode> hand_over(const HandOver& options, Pid pid, bool json, Env& env) {
  const auto time = options.time.value_or(std::chrono::minutes(10));
  const std::string socket = options.socket.empty() ? daemon::Config{}.socket : options.socket;
  const daemon::Json request = {
      {"command", "trace"}, {"pid", pid.value}, {"seconds", to_seconds(time)}};
  MEMSPY_TRY(answer, daemon::ask_daemon(socket, request));
  if (json) env.out << daemon::json_text(answer) << '\n';
  say(env, fmt::format("the daemon traces {} for {}; memspy daemon targets says how it goes",
                       pid.value, format_duration(time)));
  return ExitCode::kOk;
}

}  // namespace memspy::cli
