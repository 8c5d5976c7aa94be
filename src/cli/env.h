// Everything a command touches of the world outside: streams, terminal, clocks, /proc, and the two
// doors to a target. main() fills it with the real ones, tests with fakes.
#pragma once

#include <chrono>
#include <functional>
#include <istream>
#include <memory>
#include <optional>
#include <ostream>
#include <string>
#include <vector>

#include "attach/access.h"
#include "base/clock.h"
#include "cli/process_row.h"
#include "cpython/interpreter.h"
#include "memspy/result.h"
#include "memspy/sample_sink.h"
#include "procfs/proc_dir.h"
#include "sampler/one_look.h"
#include "sampler/session.h"

namespace memspy::heap {  // heap/heap_look.h, for those who look
struct HeapLook;
struct LookOptions;
struct TraceLook;  // heap/trace_look.h
struct TraceLookOptions;
}  // namespace memspy::heap

namespace memspy::cli {

using StartSession =
    std::function<Result<std::unique_ptr<sampler::Session>>(sampler::SessionOptions, SampleSink&)>;
using LookAt = std::function<Result<sampler::ProcessLook>(Pid, const sampler::LookOptions&)>;
using LookAtHeap = std::function<Result<heap::HeapLook>(Pid, const heap::LookOptions&)>;
using LookAtCore = std::function<Result<heap::HeapLook>(
    const std::string& core, const std::string& executable, const heap::LookOptions&)>;
using LookAtTraces = std::function<Result<heap::TraceLook>(Pid, const heap::TraceLookOptions&)>;
using FindInterpreter = std::function<Result<cpython::Interpreter>(
    Pid, std::optional<int> assume_minor, std::vector<cpython::LocatorAttempt>&)>;
using Diagnose = std::function<std::vector<attach::Finding>(Pid)>;
using CheckAccess = std::function<Result<Unit>(Pid)>;
// As kill(2): the negative PID of its leader stands for a process group.
using SendSignal = std::function<bool(Pid, int signal)>;
using ListPython = std::function<std::vector<ProcessRow>()>;

struct Env {
  std::istream& in;
  std::ostream& out;  // results
  std::ostream& err;  // log and progress
  const Clock& clock;
  procfs::ProcDir proc;

  bool in_terminal = false;
  bool out_terminal = false;
  bool err_terminal = false;
  bool colour = false;       // of stdout; decided from the terminal, the environment and --no-color
  std::size_t columns = 80;  // of the terminal
  int verbosity = 0;         // -1 quiet, 0 normal, 1 debug, 2 trace
  std::vector<std::string> command_line{};  // as typed, for the header of a recording

  std::string cache_folder{};  // of this user's; "": nothing is kept between runs

  StartSession start_session{};
  LookAt look_at{};
  LookAtHeap look_at_heap{};
  LookAtCore look_at_core{};
  LookAtTraces look_at_traces{};
  FindInterpreter find_interpreter{};
  CheckAccess check_access{};
  Diagnose diagnose{};
  ListPython list_python{};
  SendSignal send_signal{};
  std::function<std::chrono::nanoseconds()> wall_now = wall_clock_now;
  std::function<void(std::chrono::nanoseconds)> sleep{};  // tests do not
};

// Of this machine, for names of files.
std::string host_name();

// ~/.cache/memspy, or where XDG_CACHE_HOME says; "" where that is not this user's own: under sudo
// it may be somebody else's. Made by who keeps something there.
std::string user_cache_folder();

// Whether it can be started: a path, or a name that is in PATH.
bool is_program(const std::string& program);

// A remark for a person on stderr; nothing with -q.
void say(Env& env, const std::string& text);

// Whether stdout may carry escape codes: --no-color, then NO_COLOR, then CLICOLOR_FORCE, then the
// terminal.
bool wants_colour(bool no_color_flag, bool terminal, const char* no_color, const char* force);

}  // namespace memspy::cli
