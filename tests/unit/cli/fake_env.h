// A world for commands: streams in memory, a /proc of files, a clock that is turned by sleeping,
// and a session that tells the sample run.
#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "cli/app.h"
#include "cli/env.h"
#include "heap/heap_look.h"
#include "heap/trace_look.h"
#include "support/fake_proc_dir.h"
#include "support/sample_run.h"
#include "support/snapshot_builder.h"

namespace memspy::testing {

class TurnedClock final : public Clock {
 public:
  SteadyTime now() const override { return now_; }
  void turn(std::chrono::nanoseconds time) { now_ += time; }

 private:
  SteadyTime now_{};
};

// What a fake session does, and what it was asked.
struct SessionScript {
  std::optional<Error> start_error, run_error;
  std::string ended_by = "duration";
  std::optional<std::chrono::nanoseconds> lasts;  // else as sample_run says
  bool tell_nothing = false;                      // the target was gone at once
  std::uint64_t rejected = 3;
  std::optional<Pid> launched;
  // All processes of the run as programs of this path and version, "" for no Python.
  struct Program {
    std::string executable, python_version;
  };
  std::optional<Program> becomes;
  sampler::SessionOptions asked;
  int started = 0;
};

class FakeWorld {
 public:
  FakeWorld();
  // Runs a command line; the exit code.
  int run(std::vector<std::string> args);
  std::string out() const { return out_.str(); }
  std::string err() const { return err_.str(); }
  void type(const std::string& text) { in_.str(text); }

  FakeProcDir proc;
  TurnedClock clock;
  SessionScript script;
  std::vector<cli::ProcessRow> rows;
  std::optional<Error> look_error, heap_error;
  std::uint32_t heap_sessions = 3;  // of the sample heap; more at each look
  int heap_looks = 0;
  heap::LookOptions heap_asked;
  int traces_looks = 0;  // of sample_traces(), which grow at each
  heap::TraceLookOptions traces_asked;
  sampler::ProcessLook look;
  std::vector<std::pair<pid_t, int>> signals;  // that were sent
  std::function<void(pid_t, int)> on_signal;   // what becomes of it
  cli::Env env;

 private:
  std::istringstream in_;
  std::ostringstream out_, err_;
};

// The look of the golden files: three threads of a small service.
sampler::ProcessLook sample_look();

}  // namespace memspy::testing
