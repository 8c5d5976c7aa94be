#include "daemon/daemon.h"

#include <signal.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <optional>

#include <spdlog/fmt/fmt.h>

#include "base/duration.h"
#include "daemon/alarm.h"
#include "daemon/asked_targets.h"
#include "daemon/control_socket.h"
#include "daemon/event_loop.h"
#include "daemon/finder.h"
#include "daemon/http_api.h"
#include "daemon/http_server.h"
#include "daemon/mailbox.h"
#include "daemon/own_budget.h"
#include "daemon/own_process.h"
#include "daemon/push.h"
#include "daemon/recorder.h"
#include "daemon/state_lock.h"
#include "daemon/status.h"
#include "daemon/watchlist.h"

namespace memspy::daemon {
namespace {

using namespace std::chrono_literals;

constexpr auto kTimeToLetGo = 12s;     // of all tracers, at the end
constexpr auto kLoopAnswerTime = 5s;   // for a question that the loop has to answer
constexpr auto kOwnMemoryPause = 10s;  // own page tables are walked for it
constexpr auto kWatchdogWithout = 1h;

RunHeader header_of(const Config& config, const std::string& version) {
  utsname host{};
  ::uname(&host);
  RunHeader header;
  header.memspy_version = version;
  header.mode = "growth";
  header.engine = "rss";
  header.engine_reason = "the daemon's cheap figures of all targets";
  header.host = host.nodename;
  header.kernel = host.release;
  header.command_line = {"memspy", "daemon", "--config", config.path};
  header.wall_start = wall_clock_now();
  header.interval = config.interval;
  header.subprocesses = true;
  return header;
}

// What is bound to a place, and stays as it was until a restart.
std::vector<std::string> bound_changes(const Config& old, const Config& now) {
  std::vector<std::string> keys;
  if (now.state_dir != old.state_dir) keys.emplace_back("state_dir");
  if (now.socket != old.socket) keys.emplace_back("socket");
  if (now.events != old.events) keys.emplace_back("events");
  if (now.http.listen != old.http.listen) keys.emplace_back("http.listen");
  if (now.http.token_file != old.http.token_file) keys.emplace_back("http.token_file");
  return keys;
}

std::vector<std::string> with_verb(std::vector<std::string> program,
                                   std::initializer_list<const char*> verb) {
  program.insert(program.end(), verb.begin(), verb.end());
  return program;
}

class RunningDaemon final : public Daemon {
 public:
  RunningDaemon(Config config, DaemonPorts ports, EventLoop loop, UniqueFd signals)
      : config_(std::move(config)),
        ports_(std::move(ports)),
        loop_(std::move(loop)),
        signals_(std::move(signals)),
        start_(std::chrono::steady_clock::now()),
        shelf_(config_.state_dir),
        finder_(ports_.proc, loop_),
        targets_(ports_.proc, loop_, shelf_, with_verb(ports_.program, {"daemon", "--tracer"}),
                 ports_.log),
        budget_(config_.budget) {}

  Result<Unit> open();
  Result<Unit> run() override;

 private:
  Result<Unit> open_http();
  void take_signal();
  Result<Unit> reload();
  void apply();
  Json answer(const Json& request);
  Json answer_in_loop(const std::string& command, const Json& request);
  Result<Unit> trace_asked(Pid pid, std::chrono::seconds time);
  void go_on_with_asked();
  void look_for_targets(SteadyTime now);
  void tick(SteadyTime now);
  void keep_budget(SteadyTime now);
  void publish(SteadyTime now);
  void let_go();
  std::chrono::nanoseconds interval() const { return config_.interval * budget_.interval_factor(); }

  Config config_;
  DaemonPorts ports_;
  EventLoop loop_;
  UniqueFd signals_;
  SteadyTime start_;
  UniqueFd state_lock_;
  Shelf shelf_;
  Finder finder_;
  Watchlist targets_;
  OwnBudget budget_;
  Mailbox mailbox_;
  StatusBoard board_;
  std::unique_ptr<Recorder> recorder_;
  std::unique_ptr<Alarm> alarm_;
  std::unique_ptr<Pusher> pusher_;
  std::optional<AskedTargets> asked_;
  std::string config_error_;
  std::vector<std::string> restart_needed_;  // keys
  std::uint64_t own_memory_ = 0;
  SteadyTime next_memory_{};
  bool stopping_ = false;
  // Their threads ask the others: they go first.
  std::unique_ptr<HttpApi> api_;
  std::unique_ptr<HttpServer> http_;
  std::unique_ptr<ControlServer> control_;
};

// Targets are held by descriptors, as a PID may be given to another process.
Result<Unit> check_kernel() {
  const UniqueFd own(static_cast<int>(::syscall(SYS_pidfd_open, ::getpid(), 0)));
  if (own.valid()) return Unit{};
  Error error = make_error(Errc::kUnsupported, "the daemon needs Linux 5.3 or newer", errno);
  error.why = "this kernel has no pidfd_open";
  error.hint = "memspy record and attach work here";
  return error;
}

Result<Unit> RunningDaemon::open() {
  MEMSPY_CHECK(check_kernel());
  MEMSPY_CHECK(shelf_.prepare());
  MEMSPY_TRY(lock, lock_state(config_.state_dir));
  state_lock_ = std::move(lock);
  MEMSPY_TRY(recorder, Recorder::start(config_.state_dir, config_.recorder,
                                       header_of(config_, ports_.version)));
  recorder_ = std::move(recorder);
  MEMSPY_TRY(alarm, Alarm::open(config_, ports_.program, ports_.log));
  alarm_ = std::move(alarm);
  pusher_ = std::make_unique<Pusher>(config_.state_dir, board_, ports_.log, config_.push,
                                     config_.recorder.keep);
  MEMSPY_CHECK(loop_.add(signals_.get(), [this] { take_signal(); }));
  MEMSPY_CHECK(loop_.add(mailbox_.fd(), [this] { mailbox_.answer_all(); }));
  finder_.begin(config_.events);
  apply();
  asked_.emplace(config_.state_dir + "/asked.json");
  go_on_with_asked();
  publish(start_);
  MEMSPY_TRY(control, ControlServer::start(
                          config_.socket, [this](const Json& request) { return answer(request); }));
  control_ = std::move(control);
  return config_.http.listen.empty() ? Result<Unit>(Unit{}) : open_http();
}

Result<Unit> RunningDaemon::open_http() {
  MEMSPY_TRY(address, parse_http_address(config_.http.listen));
  HttpApiOptions options;
  options.state_dir = config_.state_dir;
  options.loopback = address.loopback;
  options.longest_window = config_.recorder.keep;
  options.words = ports_.words;
  options.history = &alarm_->history();
  if (!config_.http.token_file.empty()) {
    MEMSPY_TRY(token, read_token(config_.http.token_file));
    options.token = std::move(token);
  }
  api_ = std::make_unique<HttpApi>(board_, std::move(options), wall_clock_now);
  MEMSPY_TRY(server, HttpServer::start(address, [api = api_.get()](const HttpRequest& request) {
               return api->answer(request);
             }));
  http_ = std::move(server);
  ports_.log(fmt::format("HTTP at {} port {}", address.host, http_->port()));
  return Unit{};
}

void RunningDaemon::take_signal() {
  signalfd_siginfo info{};
  while (::read(signals_.get(), &info, sizeof(info)) == static_cast<ssize_t>(sizeof(info))) {
    if (info.ssi_signo == SIGHUP) {
      (void)reload();
    } else {
      ports_.log("asked to stop by a signal");
      stopping_ = true;
    }
  }
}

Result<Unit> RunningDaemon::reload() {
  ports_.manager.tell("RELOADING=1");
  auto config = read_config(config_.path);
  if (config.has_value()) {
    restart_needed_ = bound_changes(config_, *config);
    if (!restart_needed_.empty())
      ports_.log(fmt::format("{} changed: that takes a restart", fmt::join(restart_needed_, ", ")));
    config->state_dir = config_.state_dir;
    config->socket = config_.socket;
    config->http = config_.http;
    config->events = config_.events;
    config_ = std::move(*config);
    config_error_.clear();
    apply();
    ports_.log("the configuration was read anew");
  } else {
    config_error_ = describe(config.error()) + ": " + config.error().why;
    ports_.log("the configuration is refused and the old one kept: " + config_error_);
  }
  ports_.manager.tell("READY=1");
  publish(std::chrono::steady_clock::now());
  if (config.has_value()) return Unit{};
  return config.error();
}

void RunningDaemon::apply() {
  const auto last = board_.latest();
  const auto wall = wall_clock_now();
  const auto released = targets_.set_config(config_);
  for (const auto& facts : released) finder_.forget(facts->identity.pid);
  alarm_->note_let_go(released, *last, wall);
  finder_.set_rules(config_.rules, std::chrono::steady_clock::now());
  budget_.set_config(config_.budget);
  recorder_->set_limits(config_.recorder);
  pusher_->set_config(config_.push, config_.recorder.keep);
  (void)alarm_->set_config(config_, *last, wall);  // its expressions were checked when it was read
}

// On the control server's thread.
Json RunningDaemon::answer(const Json& request) {
  const std::string command = member<std::string>(request, "command").value_or("");
  if (command == "status") return status_json(*board_.latest());
  if (command == "targets") return targets_json(*board_.latest(), /*with_commands=*/true);
  const auto answer = mailbox_.ask<Json>(
      [this, command, request] { return answer_in_loop(command, request); }, kLoopAnswerTime);
  if (answer) return *answer;
  return control_error(make_error(Errc::kTimeout, "the daemon is busy"));
}

Json RunningDaemon::answer_in_loop(const std::string& command, const Json& request) {
  Json done = {{"schema", "memspy.control/1"}, {"done", command}};
  Result<Unit> result = Unit{};
  if (command == "stop") {
    stopping_ = true;
  } else if (command == "reload") {
    result = reload();
  } else if (command == "trace") {
    const double seconds = member<double>(request, "seconds").value_or(600);
    constexpr double kLongest = 7 * 86400;
    result = trace_asked(Pid{member<pid_t>(request, "pid").value_or(0)},
                         std::chrono::seconds(std::llround(std::clamp(seconds, 1.0, kLongest))));
  } else {
    result = make_error(Errc::kUsage, "the daemon knows no command \"" + command + "\"");
  }
  return result.has_value() ? done : control_error(result.error());
}

Result<Unit> RunningDaemon::trace_asked(Pid pid, std::chrono::seconds time) {
  const auto now = std::chrono::steady_clock::now();
  Watched* target = targets_.find(pid);
  if (target == nullptr || target->gone) {
    const procfs::UserNames users(ports_.proc);
    auto candidate = read_candidate(ports_.proc, users, pid);
    if (!candidate) {
      return ports_.proc.exists(pid)
                 ? make_error(Errc::kUnsupported, fmt::format("{} is no Python process", pid.value))
                 : make_error(Errc::kNoSuchProcess,
                              fmt::format("there is no process {}", pid.value));
    }
    Finder::Found found{std::move(*candidate), {}};
    found.rule.name = "asked";
    if (const auto rule = find_rule(config_.rules, found.candidate))
      found.rule = config_.rules[*rule];
    target = targets_.add(found, now);
    if (target == nullptr) return make_error(Errc::kTargetGone, "it has just ended");
    finder_.settle(pid);
  }
  target->asked_until = now + time;
  const auto wall = std::chrono::duration_cast<std::chrono::seconds>(wall_clock_now());
  return asked_->add(target->facts->identity, wall + time);
}

void RunningDaemon::go_on_with_asked() {
  const auto wall = std::chrono::duration_cast<std::chrono::seconds>(wall_clock_now());
  asked_->forget_expired(wall);
  for (const auto& [identity, until] : std::map(asked_->all())) {
    if (!ports_.proc.exists(identity) || !trace_asked(identity.pid, until - wall).has_value())
      asked_->forget(identity);
  }
}

void RunningDaemon::look_for_targets(SteadyTime now) {
  const auto rule_of_family = [this](const Candidate& candidate) {
    return targets_.rule_for(candidate);
  };
  for (const auto& found : finder_.look(now, rule_of_family)) {
    if (targets_.add(found, now) != nullptr) finder_.settle(found.candidate.identity.pid);
  }
}

void RunningDaemon::keep_budget(SteadyTime now) {
  if (now >= next_memory_) {
    next_memory_ = now + kOwnMemoryPause;
    if (const auto rollup = ports_.proc.smaps_rollup(Pid{::getpid()}))
      own_memory_ = rollup->pss_bytes;
  }
  const auto status = board_.latest();
  if (budget_.update(now, {status->own_cpu_seconds, status->tracers_cpu_seconds,
                           own_memory_ + status->tracers_memory_bytes, status->tracers}))
    ports_.log(budget_.thrift().empty() ? "within the budget again" : budget_.thrift());
}

void RunningDaemon::publish(SteadyTime now) {
  auto status = std::make_shared<DaemonStatus>();
  status->published = now;
  status->pid = Pid{::getpid()};
  status->version = ports_.version;
  status->config_path = config_.path;
  status->config_error = config_error_;
  status->restart_needed = restart_needed_;
  status->uptime = now - start_;
  status->interval = interval();
  status->thrift = budget_.thrift();
  status->discovery = finder_.how();
  status->alerts_firing = alarm_->book().firing();
  const Outbox::Figures deliveries = alarm_->deliveries();
  status->deliveries_waiting = deliveries.waiting;
  status->deliveries_given_up = deliveries.given_up;
  if (!config_.push.url.empty()) status->push = pusher_->figures();
  status->own_cpu_seconds = own_cpu_seconds();
  status->own_memory_bytes = own_memory_;
  const RecorderFigures recorded = recorder_->figures();
  status->recorded_bytes = recorded.bytes;
  status->evidence_bytes = alarm_->evidence_bytes();
  status->lost_ticks = recorded.lost_ticks;
  status->removed_files = recorded.removed_files;
  status->recorder_trouble = recorded.trouble;
  targets_.describe(*status, recorded);
  for (TargetStatus& target : status->targets)
    target.alerts_firing = alarm_->book().firing(target.facts->identity);
  board_.publish(std::move(status));
}

void RunningDaemon::tick(SteadyTime now) {
  const auto last = board_.latest();  // which still knows those that have just ended
  recorder_->add(targets_.tick(now, now - start_));
  for (auto& [pid, target] : targets_.all()) {
    if (!target.asked_until || now < *target.asked_until) continue;
    target.asked_until.reset();
    asked_->forget(target.facts->identity);
  }
  publish(now);
  const auto wall = wall_clock_now();
  alarm_->update(targets_, *board_.latest(), now, wall);
  targets_.trace(now, std::min(config_.tracing.most, budget_.tracer_limit().value_or(~0U)));
  const auto gone = targets_.take_gone();
  for (const GoneTarget& target : gone) finder_.forget(target.facts->identity.pid);
  alarm_->note_gone(gone, *last, wall);
  keep_budget(now);
}

void RunningDaemon::let_go() {
  ports_.manager.tell("STOPPING=1");
  const auto deadline = std::chrono::steady_clock::now() + kTimeToLetGo;
  for (auto now = std::chrono::steady_clock::now(); now < deadline;
       now = std::chrono::steady_clock::now()) {
    targets_.end_tracers(now);
    if (!targets_.any_tracer()) return;
    loop_.run_once(now + 20ms);
  }
}

Result<Unit> RunningDaemon::run() {
  ports_.manager.tell("READY=1");
  const auto watchdog = ports_.manager.watchdog();
  SteadyTime next_tick = std::chrono::steady_clock::now();
  SteadyTime next_watchdog = next_tick;
  while (!stopping_) {
    loop_.run_once(std::min({next_tick, finder_.next(), next_watchdog}));
    const auto now = std::chrono::steady_clock::now();
    if (now >= finder_.next()) look_for_targets(now);
    if (now >= next_tick) {
      tick(now);
      // Absolute deadlines; ticks that were missed are not made up for.
      next_tick += interval() * (1 + (now - next_tick) / interval());
    }
    if (now >= next_watchdog) {
      if (watchdog) ports_.manager.tell("WATCHDOG=1");
      next_watchdog = now + watchdog.value_or(kWatchdogWithout);
    }
  }
  let_go();
  return Unit{};
}

}  // namespace

Result<std::unique_ptr<Daemon>> Daemon::start(Config config, DaemonPorts ports) {
  MEMSPY_TRY(signals, settle_process());
  MEMSPY_TRY(loop, EventLoop::create());
  auto daemon = std::make_unique<RunningDaemon>(std::move(config), std::move(ports),
                                                std::move(loop), std::move(signals));
  MEMSPY_CHECK(daemon->open());
  return std::unique_ptr<Daemon>(std::move(daemon));
}

}  // namespace memspy::daemon
