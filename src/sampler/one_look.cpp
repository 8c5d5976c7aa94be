#include "sampler/one_look.h"

#include <algorithm>

#include "attach/access.h"
#include "attach/bystander.h"
#include "sampler/native_stacks.h"
#include "sampler/target.h"

namespace memspy::sampler {
namespace {

constexpr int kTornReads = 5;  // attempts at the stack of a thread that wakes up while it is read

class Look {
 public:
  Look(Pid pid, const LookOptions& options)
      : options_(options), target_(proc_, ProcessIndex{1}, pid, options.assume_minor) {}
  Result<ProcessLook> take();

 private:
  void take_thread(Tid tid, bool running);
  bool still_runs(Tid tid) const;
  void read(ThreadLook& look, std::optional<std::uint64_t> thread_id, bool stopped);
  void read_frames(ThreadLook& look, RemoteAddr state, std::optional<std::uint64_t> thread_id);
  void read_native(Tid tid, bool stopped);
  void show(ThreadLook& look);

  procfs::ProcDir proc_;
  LookOptions options_;
  Target target_;
  attach::Bystander bystander_;
  attach::Seizure seizure_{proc_, bystander_, false};
  std::shared_ptr<unwind::ModuleStore> modules_ = std::make_shared<unwind::ModuleStore>();
  // There is one look at each thread: it takes as much as may be needed.
  NativeStacks native_{proc_, target_.pid(), target_.memory(), *modules_, unwind::kMaxStackCopy};
  cpython::RawStack stack_;                                  // of the thread at hand
  std::vector<std::vector<cpython::LocalVariable>> locals_;  // of its frames
  bool native_taken_ = false;                                // its native stack was taken as well
  ProcessLook look_;
};

Result<ProcessLook> Look::take() {
  const Pid pid = target_.pid();
  MEMSPY_CHECK(attach::check_access(proc_, pid));
  MEMSPY_CHECK(target_.find_interpreter());
  look_.pid = pid;
  look_.name = proc_.comm(pid, Tid{pid.value}).value_or("");
  look_.command_line = proc_.command_line(pid).value_or({});
  const cpython::Interpreter* interpreter = target_.interpreter();
  if (interpreter == nullptr) return make_error(Errc::kInternal, "no interpreter after its search");
  look_.version = interpreter->version();
  look_.layout_source = interpreter->layout().source;
  look_.attempts = target_.attempts();
  MEMSPY_TRY(tids, proc_.threads(pid));
  std::vector<bool> running;
  for (const Tid tid : tids) {
    const auto stat = proc_.stat(pid, tid);
    running.push_back(stat.has_value() && stat->state == 'R');
    look_.job_stopped = look_.job_stopped || (stat.has_value() && stat->job_stopped());
  }
  if (std::find(running.begin(), running.end(), true) != running.end())
    MEMSPY_CHECK(seizure_.seize(pid));
  for (std::size_t i = 0; i < tids.size(); ++i) take_thread(tids[i], running[i]);
  look_.modules = modules_;
  return std::move(look_);
}

void Look::take_thread(Tid tid, bool running) {
  ThreadLook look;
  look.tid = tid;
  look.name = proc_.comm(target_.pid(), tid).value_or("");
  // A thread that runs is read beside its running first: whoever blocks between the question
  // whether it runs and the stop would see an interrupted call.
  stack_ = {};
  locals_.clear();
  native_taken_ = false;
  const auto thread_id = target_.find_thread_id(tid);
  // Beside its running there are no registers to be had.
  const bool steady = running && !options_.locals && !options_.native && thread_id &&
                      target_.read_running(*thread_id, stack_);
  if (running && !steady && still_runs(tid)) {
    const auto held = seizure_.with_stopped(tid, options_.deadline,
                                            [&] { read(look, seizure_.fs_base(tid), true); });
    if (!held.has_value()) look.error = describe(held.error());
    if (held.has_value() && held->has_value()) look_.paused = std::max(look_.paused, **held);
    if (held.has_value() && !held->has_value()) read(look, thread_id, false);
  } else {
    read(look, thread_id, false);
  }
  show(look);
  look_.threads.push_back(std::move(look));
}

bool Look::still_runs(Tid tid) const {
  const auto stat = proc_.stat(target_.pid(), tid);
  return stat.has_value() && stat->state == 'R';
}

void Look::read(ThreadLook& look, std::optional<std::uint64_t> thread_id, bool stopped) {
  auto& reader = *target_.reader();
  if (options_.native) read_native(look.tid, stopped);
  const RemoteAddr state = thread_id ? reader.find_thread_state(*thread_id) : RemoteAddr{};
  look.python = static_cast<bool>(state);
  if (!look.python) return;
  const auto& interpreter = *target_.interpreter();
  const bool taken = std::any_of(look_.threads.begin(), look_.threads.end(),
                                 [](const ThreadLook& t) { return t.gil; });
  look.gil = !taken && interpreter.gil_holder(target_.memory()) == state;
  if (const std::string name = target_.thread_name(*thread_id); !name.empty()) look.name = name;
  read_frames(look, state, stopped ? std::nullopt : thread_id);
}

void Look::read_native(Tid tid, bool stopped) {
  native_taken_ = stopped ? native_.take(seizure_, tid) : native_.take_blocked(tid);
}

void Look::read_frames(ThreadLook& look, RemoteAddr state, std::optional<std::uint64_t> thread_id) {
  auto& reader = *target_.reader();
  auto captured = reader.capture(state, stack_);
  for (int attempt = 1; attempt < kTornReads && !captured.has_value(); ++attempt)
    captured = reader.capture(state, stack_);
  // Of a thread that is not stopped two reads must agree; where they never do, the last whole one
  // stands.
  cpython::RawStack steady;
  if (captured.has_value() && thread_id && target_.read_running(*thread_id, steady))
    stack_ = std::move(steady);
  if (!captured.has_value()) {
    look.error = describe(captured.error());
    stack_ = {};
  }
  if (!options_.locals) return;
  for (const auto& frame : stack_.frames)
    locals_.push_back(reader.locals(frame, options_.repr_cap).value_or({}));
}

// The thread runs again.
void Look::show(ThreadLook& look) {
  auto& reader = *target_.reader();
  look.collecting = stack_.collecting;
  std::vector<MergedFrame> merged;
  if (native_taken_) {
    merged = native_.merge(stack_);
    look.native_note = note_of(native_.stack());
  } else {
    for (std::uint32_t i = 0; i < stack_.frames.size(); ++i) merged.push_back({true, i});
  }
  for (const MergedFrame& frame : merged) {
    look.frames.push_back(frame.python
                              ? reader.resolve(stack_.frames[frame.index])
                              : NativeStacks::frame_of(native_.stack().frames[frame.index]));
    if (!options_.locals) continue;
    look.locals.emplace_back();
    if (frame.python) look.locals.back() = std::move(locals_[frame.index]);
  }
}

}  // namespace

// On a thread of its own: its end lets go of whatever was seized, without stopping it.
Result<ProcessLook> look_at(Pid pid, const LookOptions& options) {
  auto result = Result<ProcessLook>(make_error(Errc::kInternal, "the look did not happen"));
  attach::on_tracer_thread([&] { result = Look(pid, options).take(); });
  return result;
}

}  // namespace memspy::sampler
