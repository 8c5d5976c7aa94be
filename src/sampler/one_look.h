// A single look at a process: every thread's stack, without sampling. What `dump` prints.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cpython/interpreter.h"
#include "cpython/stack_reader.h"
#include "memspy/result.h"
#include "unwind/code_map.h"

namespace memspy::sampler {

struct LookOptions {
  std::optional<int> assume_minor;
  bool locals = false;
  bool native = false;  // native frames too, and threads that run no Python
  std::size_t repr_cap = 120;
  std::chrono::milliseconds deadline{500};  // for one stop
};

struct ThreadLook {
  Tid tid;           // in memspy's PID namespace; 0 when it could not be matched
  std::string name;  // Python's name, else the kernel's comm
  bool gil = false;
  bool python = false;  // false: a native thread without Python state
  bool collecting = false;
  std::int64_t interpreter_id = 0;
  std::string error;  // why there are no frames, if there are none
  // Innermost first. Native ones are addresses: names are looked up by the caller.
  std::vector<Frame> frames;
  // By frame, when asked for; empty for native ones.
  std::vector<std::vector<cpython::LocalVariable>> locals;
  std::string native_note;  // what is missing of the native frames; "" nothing
};

struct ProcessLook {
  Pid pid;
  std::string name;
  std::vector<std::string> command_line;
  cpython::Version version;
  std::vector<cpython::LocatorAttempt> attempts;
  std::string layout_source;
  std::chrono::nanoseconds paused{};  // longest time a thread was held
  bool job_stopped = false;           // the target was stopped (T) already, and was left so
  std::vector<ThreadLook> threads;
  std::shared_ptr<const unwind::ModuleStore> modules;  // of native frames; their files are open
};

Result<ProcessLook> look_at(Pid pid, const LookOptions& options);

}  // namespace memspy::sampler
