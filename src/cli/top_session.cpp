#include "cli/top_session.h"

#include <spdlog/fmt/fmt.h>
#include <unistd.h>

#include <cstdlib>

#include "cli/native_names.h"
#include "cli/record_outputs.h"
#include "sinks/output_file.h"

namespace memspy::cli {
namespace {

std::string temporary_path() {
  const char* folder = std::getenv("TMPDIR");  // NOLINT(concurrency-mt-unsafe)
  return fmt::format("{}/.memspy-top.{}.memspy",
                     folder != nullptr && *folder != '\0' ? folder : "/tmp", ::getpid());
}

// Time since the process started, by the kernel's clock of boot time.
std::chrono::nanoseconds uptime_of(const procfs::ProcDir& proc, const ProcessIdentity& identity) {
  const auto uptime = proc.setting("uptime");
  if (!uptime) return {};
  const double started =
      static_cast<double>(identity.start_ticks) / static_cast<double>(sysconf(_SC_CLK_TCK));
  const double seconds = std::strtod(uptime->c_str(), nullptr) - started;
  return std::chrono::nanoseconds(static_cast<std::int64_t>(seconds * 1e9));
}

}  // namespace

Result<std::unique_ptr<TopSession>> TopSession::start(Pid pid, const SamplingOptions& sampling,
                                                      Env& env) {
  std::unique_ptr<TopSession> top(new TopSession(env));
  std::vector<SampleSink*> sinks{&top->model_sink(pid, sampling.native)};
  remove_recording(temporary_path());  // of a memspy that was killed and had our pid
  auto writer = recording::Writer::create(temporary_path());
  if (writer) {
    top->recording_path_ = temporary_path();
    top->writer_ = std::move(*writer);
    sinks.push_back(top->writer_.get());
  }
  top->tee_.emplace(std::move(sinks));
  sampler::SessionOptions options = to_session_options(sampling);
  options.pid = pid;
  options.command_line = env.command_line;
  top->fate_.emplace(env.proc, pid);
  MEMSPY_TRY(session, env.start_session(std::move(options), *top->tee_));
  top->target_ = session->target();
  top->engine_ = session->header().engine;
  top->session_ = std::move(session);
  top->thread_ = std::thread([self = top.get()] { self->run(); });
  return top;
}

SampleSink& TopSession::model_sink(Pid pid, bool native) {
  if (!native) return locked_;
  symbolizer_.emplace(files_of(env_->proc, pid));
  return naming_.emplace(locked_,
                         [this](const Frame& frame) { return name_frame(frame, *symbolizer_); });
}

void TopSession::run() {
  auto summary = session_->run();
  const std::lock_guard lock(mutex_);
  if (summary) {
    const std::string end = fate_->at_end(summary->ended_by);
    ended_by_ = end.empty() ? summary->ended_by : "target " + end;
  } else {
    ended_by_ = describe(summary.error());
    error_ = std::move(summary).error();
  }
  ended_ = true;
}

TopSession::~TopSession() {
  if (session_) session_->stop("user");
  if (thread_.joinable()) thread_.join();
  session_.reset();
  writer_.reset();
  if (!recording_path_.empty()) remove_recording(recording_path_);
}

TopHead TopSession::head() const {
  return {target_.identity.pid,
          one_line_command(target_.command_line, target_.name),
          target_.python_version,
          engine_,
          uptime_of(env_->proc, target_.identity),
          session_->pause_p99()};
}

std::string TopSession::ended_by() {
  const std::lock_guard lock(mutex_);
  return ended_by_;
}

std::optional<Error> TopSession::error() {
  const std::lock_guard lock(mutex_);
  return error_;
}

Result<std::string> TopSession::write_recording() const {
  if (recording_path_.empty())
    return make_error(Errc::kOutput, "there is no room for a recording in $TMPDIR");
  const std::string path = sinks::expand_output_name(
      "memspy-%n-%p-%t.memspy",
      {target_.identity.pid, env_->wall_now(), host_name(), target_.name});
  MEMSPY_TRY(reader, recording::Reader::open(recording_path_));
  MEMSPY_TRY(writer, recording::Writer::create(path));
  MEMSPY_CHECK(reader.replay(*writer));
  return path;
}

}  // namespace memspy::cli
