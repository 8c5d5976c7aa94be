// memspy daemon: the long-lived service, and how it is spoken to.
#include <spdlog/fmt/fmt.h>
#include <unistd.h>
#include <CLI/CLI.hpp>

#include <mutex>

#include "cli/build_info.h"
#include "cli/commands.h"
#include "cli/daemon_view.h"
#include "cli/hints.h"
#include "cli/process_facts.h"
#include "cli/report_options.h"
#include "daemon/config_doubts.h"
#include "daemon/control_socket.h"
#include "daemon/daemon.h"
#include "daemon/tracer.h"

namespace memspy::cli {
namespace {

struct DaemonOptions {
  std::string action;  // "": be the daemon
  std::string socket;  // of the one that is spoken to
  bool check_config = false;
  bool tracer = false;
};

Result<std::string> socket_of(const DaemonOptions& options, const std::string& config_path) {
  if (!options.socket.empty()) return options.socket;
  if (config_path.empty()) return daemon::Config{}.socket;
  // What the daemon thinks of the file is the daemon's to say: its socket is all that is needed
  // here.
  return daemon::read_socket(config_path);
}

Result<ExitCode> speak(const DaemonOptions& options, const CommonOptions& common, Env& env) {
  MEMSPY_TRY(socket, socket_of(options, common.config));
  MEMSPY_TRY(answer, options.action == "stop"
                         ? daemon::stop_daemon(socket)
                         : daemon::ask_daemon(socket, {{"command", options.action}}));
  if (common.json) {
    env.out << daemon::json_text(answer) << '\n';
  } else if (options.action == "status") {
    env.out << daemon_status_text(answer);
  } else if (options.action == "targets") {
    env.out << daemon_targets_text(answer, env.out_terminal ? env.columns : 0);
  } else {
    say(env, options.action == "stop" ? "the daemon has ended" : "the configuration was read anew");
  }
  return ExitCode::kOk;
}

// What is allowed, and hardly meant.
std::vector<std::string> all_doubts_of(const daemon::Config& config) {
  std::vector<std::string> doubts = daemon::doubts_of(config);
  for (const daemon::AlertConfig& alert : config.alerts) {
    if (!alert.hook.empty() && !is_program(alert.hook.front()))
      doubts.push_back(fmt::format("alert {}: there is no program {} for its hook",
                                   printable(alert.name), printable(alert.hook.front())));
  }
  return doubts;
}

Result<ExitCode> check_config(const daemon::Config& config, bool json, Env& env) {
  MEMSPY_CHECK(daemon::check_files(config));
  const std::vector<std::string> doubts = all_doubts_of(config);
  if (json) {
    env.out << daemon::json_text({{"schema", "memspy.control/1"},
                                  {"done", "check-config"},
                                  {"rules", config.rules.size()},
                                  {"alerts", config.alerts.size()},
                                  {"doubts", doubts}})
            << '\n';
  } else {
    env.out << fmt::format("{} is right: {} rules, {} alerts\n", config.path, config.rules.size(),
                           config.alerts.size());
    for (const std::string& doubt : doubts) say(env, doubt);
  }
  return ExitCode::kOk;
}

Result<ExitCode> be_daemon(daemon::Config config, Env& env) {
  daemon::DaemonPorts ports;
  ports.proc = env.proc;
  // The very program that runs, also when its file was replaced meanwhile.
  ports.program = {"/proc/self/exe"};
  ports.version = std::string(version());
  ports.words = format_options({}).words;
  ports.manager = daemon::NotifyManager::from_environment();
  const auto turn = std::make_shared<std::mutex>();  // several threads have something to say
  ports.log = [&env, turn](const std::string& text) {
    const std::lock_guard lock(*turn);
    say(env, text);
  };
  const std::size_t rules = config.rules.size();
  const std::string socket = config.socket;
  MEMSPY_TRY(running, daemon::Daemon::start(std::move(config), std::move(ports)));
  say(env, fmt::format("the daemon runs with {} rules; it answers at {}", rules, socket));
  MEMSPY_CHECK(running->run());
  return ExitCode::kOk;
}

Result<ExitCode> run_daemon(const DaemonOptions& options, const CommonOptions& common, Env& env) {
  if (options.tracer) {
    MEMSPY_CHECK(daemon::run_tracer(STDIN_FILENO, STDOUT_FILENO));
    return ExitCode::kOk;
  }
  if (!options.action.empty()) return speak(options, common, env);
  if (common.config.empty())
    return usage_error("the daemon needs a configuration", "",
                       "memspy daemon --config memspy.toml");
  MEMSPY_TRY(config, daemon::read_config(common.config));
  if (options.check_config) return check_config(config, common.json, env);
  if (!options.socket.empty()) config.socket = options.socket;
  return be_daemon(std::move(config), env);
}

}  // namespace

Verb add_daemon(CLI::App& root) {
  Verb verb = add_verb(root, "daemon", "The long-lived service: a flight recorder for processes");
  const auto options = std::make_shared<DaemonOptions>();
  CLI::App& app = *verb.app;
  app.add_option("action", options->action, "Ask a running daemon; without it, be the daemon")
      ->type_name("status|targets|reload|stop")
      ->check(CLI::IsMember({"status", "targets", "reload", "stop"}).description(""));
  app.add_flag("--check-config", options->check_config,
               "Read the configuration, and say if it is right");
  app.add_option("--socket", options->socket,
                 "Where the daemon answers, instead of the configuration's")
      ->type_name("PATH");
  app.add_flag("--tracer", options->tracer)->group("");  // what the daemon starts, for itself
  app.get_option("--config")->description("What to watch, and how: the daemon's configuration");
  add_json(app, *verb.common);
  verb.own_config = true;
  verb.run = [options, common = verb.common](Env& env) {
    return run_daemon(*options, *common, env);
  };
  return verb;
}

}  // namespace memspy::cli
