#include "sampler/session.h"

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <future>
#include <thread>

#include <spdlog/fmt/fmt.h>

#include "attach/access.h"
#include "attach/process_image.h"
#include "attach/wait_status.h"
#include "base/duration.h"
#include "base/log.h"
#include "procfs/processes.h"
#include "sampler/collector.h"
#include "sampler/engines/alloc.h"
#include "sampler/engines/bpf.h"
#include "sampler/engines/live.h"
#include "sampler/engines/page_fault.h"
#include "sampler/engines/poll.h"
#include "sampler/ladder.h"
#include "sampler/launch.h"

#ifndef MEMSPY_VERSION
#define MEMSPY_VERSION "0.1.0"
#endif

namespace memspy::sampler {
namespace {

using namespace std::chrono_literals;

constexpr auto kQueuePause = 100ms;   // the queue is emptied at least this often
constexpr auto kFirstExecTime = 10s;  // a launched command is running by then

// The tracer waits for stops with a signalfd: SIGCHLD must be blocked in every thread.
void block_child_signal() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGCHLD);
  ::pthread_sigmask(SIG_BLOCK, &set, nullptr);
}

// Up to four descriptors for each thread of the target.
void raise_file_limit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);
}

std::unique_ptr<Engine> make_engine(SamplingMode mode, Rung& rung, EngineContext& context) {
  const bool live = mode == SamplingMode::kLive;
  if (rung.engine == EngineChoice::kBpf)
    return std::make_unique<BpfEngine>(context, std::move(rung.bpf),
                                       BpfEngine::Extras{live, rung.guarded});
  if (live) return std::make_unique<LiveEngine>(context);
  if (mode == SamplingMode::kAlloc) return std::make_unique<AllocEngine>(context);
  if (rung.engine == EngineChoice::kFaults) return std::make_unique<PageFaultEngine>(context);
  return std::make_unique<PollEngine>(context);
}

// What -n comes to with this engine; "" nothing to be said.
std::string native_note(EngineChoice engine) {
  if (has_native_frames(engine)) return "";
  return std::string("engine ") + engine_name(engine) + " has no native frames";
}

Result<Rung> choose_rung(const procfs::ProcDir& proc, Pid pid, const SessionOptions& options) {
  if (options.mode == SamplingMode::kLive) return choose_live_engine(proc, pid, options);
  if (options.mode == SamplingMode::kAlloc) return choose_alloc_engine(proc, pid, options.engine);
  return choose_engine(proc, pid, options);
}

EngineOptions engine_options(const SessionOptions& options) {
  EngineOptions engine;
  engine.budget_percent = options.budget_percent;
  engine.subprocesses = options.subprocesses;
  engine.native = options.native;
  engine.assume_minor = options.assume_minor;
  engine.poll_interval = std::min<std::chrono::nanoseconds>(engine.poll_interval, options.interval);
  engine.max_pause = options.max_pause.value_or(engine.max_pause);
  engine.least_age = options.least_age;
  engine.allocation = options.mode == SamplingMode::kAlloc;
  return engine;
}

class RunningSession final : public Session {
 public:
  RunningSession(SessionOptions options, SampleSink& sink)
      : options_(std::move(options)),
        sink_(sink),
        context_{proc_, engine_options(options_), std::chrono::steady_clock::now(), {}, {}, {}, {},
                 {}},
        collector_(context_, sink) {}
  ~RunningSession() override { join(); }

  Result<Unit> open();
  Result<RunSummary> run() override;
  void stop(const char* reason) override {
    const char* none = nullptr;
    stop_reason_.compare_exchange_strong(none, reason);
    context_.to_collector.wake();
  }
  const RunHeader& header() const override { return header_; }
  const ProcessRecord& target() const override { return target_; }
  std::optional<Pid> launched() const override {
    return launch_ ? std::optional<Pid>(launch_->pid()) : std::nullopt;
  }
  std::shared_ptr<const unwind::ModuleStore> modules() const override { return context_.modules; }
  std::chrono::nanoseconds pause_p99() const override {
    return context_.counters.pauses.quantile(0.99);
  }
  Result<std::unique_ptr<attach::ProcessImage>> take_image(
      Pid pid, const attach::ImageOptions& options) override;

 private:
  Result<Unit> on_tracer(Pid pid, const std::function<void(attach::Seizure&)>& stop);
  Result<Unit> open_header(Pid pid);
  Result<Unit> open_untraced(Pid pid);
  Result<Unit> open_traced(Pid pid);
  Result<Unit> await_launch();
  bool stands_before_python(const Error& error, Pid pid) const;
  void trace(Pid pid, AttachKind kind, std::promise<Result<Unit>> attached);
  bool wait_until(SteadyTime deadline);
  std::optional<std::string> end_of_untraced() const;
  std::optional<std::string> ended(SteadyTime end) const;
  void join();

  SessionOptions options_;
  SampleSink& sink_;
  procfs::ProcDir proc_;
  EngineContext context_;
  Collector collector_;
  RunHeader header_;
  ProcessRecord target_;
  std::optional<Launch> launch_;
  Rung rung_;  // the engine takes its program
  std::thread tracer_;
  std::promise<void> go_, began_;
  bool went_ = false;
  std::atomic<bool> tracer_done_{false};
  std::atomic<const char*> stop_reason_{nullptr};
};

Result<Unit> RunningSession::open_header(Pid pid) {
  MEMSPY_TRY(rung, choose_rung(proc_, pid, options_));
  rung_ = std::move(rung);
  utsname host{};
  ::uname(&host);
  header_.memspy_version = MEMSPY_VERSION;
  header_.mode = mode_name(options_.mode);
  header_.engine = engine_name(rung_.engine);
  header_.engine_reason = rung_.reason;
  if (const std::string note = options_.native ? native_note(rung_.engine) : ""; !note.empty())
    header_.engine_reason += (rung_.reason.empty() ? "" : "; ") + note;
  header_.host = host.nodename;
  header_.kernel = host.release;
  header_.command_line = options_.command_line;
  header_.wall_start = wall_clock_now();
  header_.interval = options_.interval;
  header_.budget_percent = options_.budget_percent;
  header_.subprocesses = options_.subprocesses;
  return sink_.on_header(header_);
}

Result<Unit> RunningSession::open() {
  block_child_signal();
  raise_file_limit();
  Pid pid = options_.pid.value_or(Pid{});
  if (!options_.launch.empty()) {
    MEMSPY_TRY(launch, Launch::prepare(options_.launch));
    launch_ = std::move(launch);
    pid = launch_->pid();
  } else if (options_.engine == EngineChoice::kRss) {  // which looks at /proc alone
    MEMSPY_CHECK(attach::check_alive(proc_, pid));
  } else {
    MEMSPY_CHECK(attach::check_access(proc_, pid));
  }
  MEMSPY_CHECK(open_header(pid));
  return rung_.engine == EngineChoice::kRss ? open_untraced(pid) : open_traced(pid);
}

Result<Unit> RunningSession::open_untraced(Pid pid) {
  if (launch_) MEMSPY_CHECK(launch_->release());
  MEMSPY_TRY(identity, proc_.identity(pid));
  target_.index = ProcessIndex{1};
  target_.identity = identity;
  target_.name = proc_.comm(pid, Tid{pid.value}).value_or("");
  target_.command_line = proc_.command_line(pid).value_or({});
  target_.executable = proc_.executable(pid).value_or("");
  MEMSPY_TRY(statm, proc_.statm(pid));
  tracer_done_ = false;
  return collector_.add_untraced(target_, statm.rss_bytes());
}

Result<Unit> RunningSession::open_traced(Pid pid) {
  std::promise<Result<Unit>> promise;
  auto attached = promise.get_future();
  const AttachKind kind = launch_ ? AttachKind::kLaunched : AttachKind::kTarget;
  tracer_ = std::thread(
      [this, pid, kind, p = std::move(promise)]() mutable { trace(pid, kind, std::move(p)); });
  MEMSPY_CHECK(attached.get());
  MEMSPY_CHECK(collector_.take_events());
  collector_.take_baselines();
  went_ = true;
  go_.set_value();
  // Whoever is told that sampling goes on may let the target grow at once.
  began_.get_future().wait();
  if (launch_) MEMSPY_CHECK(await_launch());
  if (const ProcessRecord* first = collector_.first()) target_ = *first;
  return Unit{};
}

// Until the command runs: its exec is what makes it a process of this run.
Result<Unit> RunningSession::await_launch() {
  MEMSPY_CHECK(launch_->release());
  const auto deadline = std::chrono::steady_clock::now() + kFirstExecTime;
  while (collector_.first() == nullptr && !tracer_done_ &&
         std::chrono::steady_clock::now() < deadline) {
    wait_until(std::chrono::steady_clock::now() + kQueuePause);
    MEMSPY_CHECK(collector_.take_events());
  }
  if (collector_.first() != nullptr) return Unit{};
  return make_error(Errc::kTargetGone, "the command ended before it was seen to run");
}

// A shell or a supervisor that is no Python is followed when its children are to be, and one is.
bool RunningSession::stands_before_python(const Error& error, Pid pid) const {
  if (error.code != Errc::kUnsupported || !options_.subprocesses) return false;
  return !procfs::python_descendants(proc_, pid).empty();
}

// The tracer thread, whole: ptrace belongs to the thread that seized.
void RunningSession::trace(Pid pid, AttachKind kind, std::promise<Result<Unit>> attached) {
  const auto engine = make_engine(options_.mode, rung_, context_);
  auto result = engine->attach(pid, kind);
  if (!result.has_value() && stands_before_python(result.error(), pid))
    result = engine->attach(pid, AttachKind::kChild);
  const bool ok = result.has_value();
  if (ok && options_.subprocesses) {
    // Those that are gone or not ours are left out; what they do is nobody's loss but the report's.
    for (const Pid child : procfs::descendants(proc_, pid))
      (void)engine->attach(child, AttachKind::kChild);
  }
  auto go = go_.get_future();
  attached.set_value(std::move(result));
  if (ok) {
    go.wait();
    engine->run([this] { began_.set_value(); });
  }
  tracer_done_ = true;
  context_.to_collector.wake();
}

void RunningSession::join() {
  context_.ending.store(true, std::memory_order_release);
  context_.to_tracer.wake();
  if (!tracer_.joinable()) return;
  if (!went_) go_.set_value();
  went_ = true;
  tracer_.join();
}

// True when woken before the deadline.
bool RunningSession::wait_until(SteadyTime deadline) {
  pollfd wake{context_.to_collector.fd(), POLLIN, 0};
  const auto left =
      std::chrono::ceil<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
  const int count = ::poll(&wake, 1, static_cast<int>(std::max(left, 0ms).count()));
  if (count <= 0) return false;
  context_.to_collector.clear();
  return true;
}

// There is no tracer to be told. What memspy launched is a zombie until memspy itself asks.
std::optional<std::string> RunningSession::end_of_untraced() const {
  const ProcessIdentity& identity = target_.identity;
  const auto stat = proc_.stat(identity.pid);
  const bool there = stat.has_value() && stat->start_ticks == identity.start_ticks;
  if (there && !stat->zombie()) return std::nullopt;
  int raw = 0;
  if (launch_ && ::waitpid(identity.pid.value, &raw, WNOHANG) == identity.pid.value)
    return "target " + describe_end(attach::WaitStatus(raw));
  return "target gone";
}

std::optional<std::string> RunningSession::ended(SteadyTime end) const {
  if (const char* reason = stop_reason_.load()) return std::string(reason);
  if (collector_.end_of_first() && (tracer_done_ || !options_.subprocesses))
    return "target " + *collector_.end_of_first();
  if (rung_.engine == EngineChoice::kRss) {
    if (auto how = end_of_untraced()) return how;
  } else if (tracer_done_) {
    return "target gone";
  }
  if (options_.duration && std::chrono::steady_clock::now() >= end) return "duration";
  return std::nullopt;
}

Result<std::unique_ptr<attach::ProcessImage>> RunningSession::take_image(
    Pid pid, const attach::ImageOptions& options) {
  // Nobody traces it. (Engine bpf does where it is guarded.)
  if (rung_.engine == EngineChoice::kRss || (rung_.engine == EngineChoice::kBpf && !rung_.guarded))
    return attach::take_image(proc_, pid, options);
  return attach::take_image(proc_, pid, options,
                            [&](const auto& stop) -> Result<Unit> { return on_tracer(pid, stop); });
}

// What is thrown there comes out here.
Result<Unit> RunningSession::on_tracer(Pid pid, const std::function<void(attach::Seizure&)>& stop) {
  const auto ran = std::make_shared<std::promise<void>>();
  auto answer = ran->get_future();
  context_.errands.add([this, &stop, ran](attach::Seizure& seizure) {
    try {
      const auto begin = std::chrono::steady_clock::now();
      stop(seizure);
      context_.counters.pauses.add(std::chrono::steady_clock::now() - begin);
      ran->set_value();
    } catch (...) {
      ran->set_exception(std::current_exception());
    }
  });
  context_.to_tracer.wake();
  while (answer.wait_for(kQueuePause) != std::future_status::ready) {
    if (!tracer_done_) continue;
    context_.errands.clear();  // which the tracer has not begun, and will not
    if (answer.wait_for(0s) == std::future_status::ready) break;
    return make_error(Errc::kTargetGone, fmt::format("process {} has ended", pid.value));
  }
  answer.get();
  return Unit{};
}

Result<RunSummary> RunningSession::run() {
  const auto end = context_.start + options_.duration.value_or(std::chrono::hours(24 * 3650));
  auto next_tick = context_.start;
  std::optional<std::string> how;
  auto result = Result<Unit>(Unit{});
  while (result.has_value() && !(how = ended(end))) {
    const auto now = std::chrono::steady_clock::now();
    if (now >= next_tick) {
      result = collector_.tick(now, false);
      // Absolute deadlines; ticks that were missed are not made up for.
      next_tick += options_.interval * (1 + (now - next_tick) / options_.interval);
      continue;
    }
    wait_until(std::min({next_tick, end, SteadyTime(now + kQueuePause)}));
    result = collector_.take_events();
  }
  const auto now = std::chrono::steady_clock::now();
  // Ctrl-C at a terminal is for memspy and for what it has launched.
  if (launch_ && stop_reason_.load() != nullptr) collector_.expect_clearing_up();
  join();
  MEMSPY_CHECK(std::move(result));
  MEMSPY_CHECK(collector_.tick(now, true));
  // The last events may say more than was known when the loop ended.
  if (collector_.end_of_first() && *how == "target gone")
    how = "target " + *collector_.end_of_first();
  // A program that was launched had no interpreter yet.
  if (const ProcessRecord* first = collector_.first()) target_ = *first;
  const RunSummary summary = collector_.summary(now, *how);
  MEMSPY_CHECK(sink_.finish(summary));
  return summary;
}

}  // namespace

const char* mode_name(SamplingMode mode) {
  if (mode == SamplingMode::kLive) return "live";
  return mode == SamplingMode::kAlloc ? "alloc" : "growth";
}

Result<std::unique_ptr<Session>> Session::start(SessionOptions options, SampleSink& sink) {
  auto session = std::make_unique<RunningSession>(std::move(options), sink);
  MEMSPY_CHECK(session->open());
  return std::unique_ptr<Session>(std::move(session));
}

}  // namespace memspy::sampler
