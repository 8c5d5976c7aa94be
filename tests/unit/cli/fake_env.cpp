#include "unit/cli/fake_env.h"

#include <thread>

#include "cli/sinks_live.h"
#include "recording/tee_sink.h"
#include "support/trace_sample.h"

namespace memspy::testing {
namespace {

// Tells the sample run, of other programs and as what was asked for.
class Programs final : public recording::TeeSink {
 public:
  Programs(SampleSink& sink, const SessionScript& script)
      : TeeSink({&sink}), program_(&script.becomes), with_children_(script.asked.subprocesses) {}
  Result<Unit> on_header(const RunHeader& record) override {
    RunHeader header = record;
    header.subprocesses = with_children_;
    return TeeSink::on_header(header);
  }
  Result<Unit> on_process(const ProcessRecord& record) override {
    ProcessRecord other = record;
    if (*program_) {
      other.executable = (*program_)->executable;
      other.python_version = (*program_)->python_version;
    }
    return TeeSink::on_process(other);
  }

 private:
  const std::optional<SessionScript::Program>* program_;
  bool with_children_;
};

class FakeSession final : public sampler::Session {
 public:
  FakeSession(SessionScript& script, SampleSink& sink)
      : script_(&script), programs_(sink, script), sink_(&programs_) {
    header_ = sample_header();
    if (script.asked.engine == sampler::EngineChoice::kRss) header_.engine = "rss";
    target_.index = {1};
    target_.identity = {Pid{4242}, 1001};
    target_.name = "python3";
    target_.command_line = {"python3", "/srv/app/app.py"};
    target_.python_version = "3.11.7";
  }
  Result<RunSummary> run() override {
    if (script_->run_error) return *script_->run_error;
    RunSummary summary = sample_summary();
    summary.ended_by = script_->ended_by;
    summary.duration = script_->lasts.value_or(summary.duration);
    summary.rejected = script_->rejected;
    if (script_->tell_nothing) {
      summary.samples = 0;
      MEMSPY_CHECK(sink_->on_header(header_));
    } else if (script_->asked.mode == sampler::SamplingMode::kAlloc) {
      MEMSPY_CHECK(tell_unfinished_alloc_run(*sink_));
    } else {
      MEMSPY_CHECK(tell_unfinished_run(*sink_));
    }
    MEMSPY_CHECK(sink_->finish(summary));
    return summary;
  }
  void stop(const char* reason) override { script_->ended_by = reason; }
  const RunHeader& header() const override { return header_; }
  const ProcessRecord& target() const override { return target_; }
  std::optional<Pid> launched() const override { return script_->launched; }

 private:
  SessionScript* script_;
  Programs programs_;
  SampleSink* sink_;
  RunHeader header_;
  ProcessRecord target_;
};

}  // namespace

FakeWorld::FakeWorld()
    : look(sample_look()),
      env{in_, out_, err_, clock, procfs::ProcDir(proc.root(), proc.host_root())} {
  proc.add(4242, {});
  env.wall_now = [] { return std::chrono::seconds(1700000000); };
  env.sleep = [this](std::chrono::nanoseconds time) {
    clock.turn(time);
    std::this_thread::sleep_for(std::chrono::milliseconds(1));  // a session's thread may run
  };
  env.start_session = [this](sampler::SessionOptions options,
                             SampleSink& sink) -> Result<std::unique_ptr<sampler::Session>> {
    script.asked = std::move(options);
    ++script.started;
    if (script.start_error) return *script.start_error;
    return std::unique_ptr<sampler::Session>(std::make_unique<FakeSession>(script, sink));
  };
  env.look_at = [this](Pid, const sampler::LookOptions&) -> Result<sampler::ProcessLook> {
    if (look_error) return *look_error;
    return look;
  };
  env.look_at_heap = [this](Pid, const heap::LookOptions& options) -> Result<heap::HeapLook> {
    if (heap_error) return *heap_error;
    heap_asked = options;
    heap_asked.progress = nullptr;
    if (options.progress) options.progress("following references", 0.5);
    HeapSample sample = sample_heap(heap_sessions + 40 * heap_looks);
    sample.snapshot.header.wall_time += std::chrono::minutes(heap_looks++);
    heap::HeapLook made;
    made.snapshot = std::move(sample.snapshot);
    made.dominators = std::move(sample.dominators);
    made.owners = std::move(sample.owners);
    return made;
  };
  env.look_at_core = [this](const std::string& core, const std::string&,
                            const heap::LookOptions& options) -> Result<heap::HeapLook> {
    if (core == "/no/core") return make_error(Errc::kUnreadable, "cannot read /no/core");
    return env.look_at_heap(Pid{}, options);
  };
  env.look_at_traces = [this](Pid,
                              const heap::TraceLookOptions& options) -> Result<heap::TraceLook> {
    if (heap_error) return *heap_error;
    traces_asked = options;
    traces_asked.progress = nullptr;
    TraceSample sample = sample_traces(1000 + 500 * static_cast<std::uint32_t>(traces_looks));
    sample.header.wall_time += std::chrono::minutes(traces_looks++);
    heap::TraceLook made;
    made.header = std::move(sample.header);
    made.table = std::move(sample.table);
    return made;
  };
  env.list_python = [this] { return rows; };
  env.send_signal = [this](Pid pid, int signal) {
    signals.emplace_back(pid.value, signal);
    if (on_signal) on_signal(pid.value, signal);
    return true;
  };
  env.check_access = [](Pid) -> Result<Unit> { return Unit{}; };
  env.diagnose = [](Pid) {
    return std::vector<attach::Finding>{
        {"yama", attach::FindingLevel::kOk, "kernel.yama.ptrace_scope is 0", ""},
        {"page faults (kernel)", attach::FindingLevel::kWarn, "kernel.perf_event_paranoid is 2",
         "sysctl kernel.perf_event_paranoid=1"}};
  };
  env.find_interpreter =
      [](Pid, std::optional<int>,
         std::vector<cpython::LocatorAttempt>& attempts) -> Result<cpython::Interpreter> {
    attempts = {{"symbol _PyRuntime", "/usr/bin/python3.11", false, "no such symbol (stripped)"}};
    Error error = make_error(Errc::kUnsupported, "no CPython found in PID 4242");
    error.why = "/usr/bin/python3.11: symbol _PyRuntime: no such symbol (stripped)";
    return error;
  };
}

int FakeWorld::run(std::vector<std::string> args) {
  out_.str("");
  err_.str("");
  return cli::run_memspy(std::move(args), env);
}

sampler::ProcessLook sample_look() {
  sampler::ProcessLook look;
  look.pid = {4242};
  look.name = "python3";
  look.command_line = {"python3", "/srv/app/app.py", "--evil=\x1b[31m"};
  look.version = {3, 11, 7, 0x030b07f0, false, false};
  look.layout_source = "3.11 x86-64 (static table)";
  look.paused = std::chrono::microseconds(180);
  sampler::ThreadLook main;
  main.tid = {4242};
  main.name = "MainThread";
  main.gil = main.python = true;
  main.frames = {{"load", "/srv/app/app.py", 12, FrameKind::kPython},
                 {"<module>", "/srv/app/app.py", 40, FrameKind::kPython}};
  main.locals = {{{"rows", "[{'id': 1}, …]"}, {"self", "<app.Loader at 0x7f00>"}}, {}};
  sampler::ThreadLook worker;
  worker.tid = {4243};
  worker.name = "worker-1";
  worker.python = true;
  worker.error = "the frame chain did not hold together";
  sampler::ThreadLook native;
  native.tid = {4244};
  native.name = "grpc_timer";
  look.threads = {main, worker, native};
  return look;
}

}  // namespace memspy::testing
