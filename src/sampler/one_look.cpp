#include "sampler/one_look.h"

#include <algorithm>

#include "attach/access.h"
#include "attach/bystander.h"
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

  procfs::ProcDir proc_;
  LookOptions options_;
  Target target_;
  attach::Bystander bystander_;
  attach::Seizure seizure_{proc_, bystander_, false};
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
  return std::move(look_);
}

void Look::take_thread(Tid tid, bool running) {
  ThreadLook look;
  look.tid = tid;
  look.name = proc_.comm(target_.pid(), tid).value_or("");
  // A thread that runs is read beside its running first: whoever blocks between the question
  // whether it runs and the stop would see an interrupted call.
  cpython::RawStack stack;
  const auto thread_id = target_.find_thread_id(tid);
  const bool steady =
      running && !options_.locals && thread_id && target_.read_running(*thread_id, stack);
  if (running && !steady && still_runs(tid)) {
    const auto held = seizure_.with_stopped(tid, options_.deadline,
                                            [&] { read(look, seizure_.fs_base(tid), true); });
    if (!held.has_value()) look.error = describe(held.error());
    if (held.has_value() && held->has_value()) look_.paused = std::max(look_.paused, **held);
    if (held.has_value() && !held->has_value()) read(look, thread_id, false);
  } else {
    read(look, thread_id, false);
  }
  look_.threads.push_back(std::move(look));
}

bool Look::still_runs(Tid tid) const {
  const auto stat = proc_.stat(target_.pid(), tid);
  return stat.has_value() && stat->state == 'R';
}

void Look::read(ThreadLook& look, std::optional<std::uint64_t> thread_id, bool stopped) {
  auto& reader = *target_.reader();
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

void Look::read_frames(ThreadLook& look, RemoteAddr state, std::optional<std::uint64_t> thread_id) {
  auto& reader = *target_.reader();
  cpython::RawStack stack;
  auto captured = reader.capture(state, stack);
  for (int attempt = 1; attempt < kTornReads && !captured.has_value(); ++attempt)
    captured = reader.capture(state, stack);
  // Of a thread that is not stopped two reads must agree; where they never do, the last whole one
  // stands.
  cpython::RawStack steady;
  if (captured.has_value() && thread_id && target_.read_running(*thread_id, steady))
    stack = std::move(steady);
  if (!captured.has_value()) {
    look.error = describe(captured.error());
    return;
  }
  look.collecting = stack.collecting;
  reader.resolve(stack, look.frames);
  if (!options_.locals) return;
  for (const auto& frame : stack.frames)
    look.locals.push_back(reader.locals(frame, options_.repr_cap).value_or({}));
}

}  // namespace

// On a thread of its own: its end lets go of whatever was seized, without stopping it.
Result<ProcessLook> look_at(Pid pid, const LookOptions& options) {
  auto result = Result<ProcessLook>(make_error(Errc::kInternal, "the look did not happen"));
  attach::on_tracer_thread([&] { result = Look(pid, options).take(); });
  return result;
}

}  // namespace memspy::sampler
