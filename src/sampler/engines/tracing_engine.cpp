#include "sampler/engines/tracing_engine.h"

#include <sys/epoll.h>

#include <array>

#include "sampler/tracer_thread.h"

namespace memspy::sampler {
namespace {

using namespace std::chrono_literals;
using attach::ThreadOrigin;

// Keys of our own descriptors; engines use thread ids, which are positive and small.
constexpr std::uint64_t kWakeKey = 0;
constexpr std::uint64_t kChildSignalKey = ~0ULL;

}  // namespace

TracingEngine::TracingEngine(EngineContext& context)
    : context_(context),
      roster_(context.proc, context.queue, context.start, context.options.assume_minor),
      interner_(context.queue),
      natives_(context, interner_),
      seizure_(context.proc, *this, context.options.subprocesses),
      epoll_(::epoll_create1(EPOLL_CLOEXEC)),
      child_signals_(open_child_signals()) {
  watch(context_.to_tracer.fd(), kWakeKey);
  watch(child_signals_.get(), kChildSignalKey);
}

TracingEngine::~TracingEngine() = default;

void TracingEngine::watch(int fd, std::uint64_t key) {
  epoll_event event{};
  // By edge: an event whose thread has ended hangs up for as long as it is open.
  event.events = EPOLLIN | EPOLLET;
  event.data.u64 = key;
  ::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event);
}

Result<Unit> TracingEngine::attach(Pid pid, AttachKind kind) {
  if (kind == AttachKind::kLaunched) awaiting_exec_.insert(pid);
  // Before anything is traced: what is no Python is left alone.
  if (kind == AttachKind::kTarget) MEMSPY_CHECK(find_interpreter(pid));
  return seizure_.seize(pid).context("attaching to process " + std::to_string(pid.value));
}

Result<Unit> TracingEngine::find_interpreter(Pid pid) {
  Target& target = target_of(pid, ThreadOrigin::kSeized);
  MEMSPY_CHECK(target.await_interpreter());
  roster_.announce(target);
  return Unit{};
}

void TracingEngine::look_for_interpreter(Target& target) {
  if (target.has_interpreter()) return;
  target.find_interpreter_soon();
  if (target.has_interpreter()) roster_.announce(target);
}

std::optional<TracingEngine::PythonThread> TracingEngine::find_stopped(
    Target& target, Tid tid, std::optional<std::uint64_t> known) {
  auto* reader = target.reader();
  if (reader == nullptr) return std::nullopt;
  const auto thread_id = known ? known : seizure_.fs_base(tid);
  if (!thread_id) return std::nullopt;
  const RemoteAddr state = reader->find_thread_state(*thread_id);
  return state ? std::optional(PythonThread{*thread_id, state}) : std::nullopt;
}

// --- the loop ---

void TracingEngine::run(const std::function<void()>& began) {
  ask_for_priority();
  sampling_ = true;
  for (const auto& [pid, target] : roster_.processes())
    push_edge(*target, WindowEdge::Kind::kBegins);
  begin();
  began();
  context_.to_collector.wake();
  while (!context_.ending.load(std::memory_order_acquire) && seizure_.thread_count() > 0) {
    wait();
    context_.errands.run(seizure_);
    work();
  }
  release();
}

void TracingEngine::wait() {
  std::array<epoll_event, 64> events;
  const timespec timeout{
      0, static_cast<long>(std::min<std::chrono::nanoseconds>(pause(), 999ms).count())};
  const int count = ::epoll_pwait2(epoll_.get(), events.data(), events.size(), &timeout, nullptr);
  for (int i = 0; i < count; ++i) {
    const std::uint64_t key = events[static_cast<std::size_t>(i)].data.u64;
    if (key == kWakeKey) {
      context_.to_tracer.clear();
    } else if (key == kChildSignalKey) {
      empty_child_signals(child_signals_.get());
      seizure_.dispatch();
    } else {
      on_readable(key);
      seizure_.dispatch();  // stopped threads come before everything else
    }
  }
  if (count <= 0) seizure_.dispatch();
}

void TracingEngine::release() {
  sampling_ = false;
  cease();
  for (const auto& [pid, target] : roster_.processes()) push_edge(*target, WindowEdge::Kind::kEnds);
  take_last_signals(seizure_);
}

// --- processes and threads come and go ---

Target& TracingEngine::target_of(Pid pid, ThreadOrigin origin) {
  if (Target* known = roster_.find_process(pid)) return *known;
  std::optional<Pid> parent;
  if (const auto status = context_.proc.status(pid); status.has_value()) parent = status->ppid;
  Target& target = roster_.process(pid, parent);
  Target* forebear = parent ? roster_.find_process(*parent) : nullptr;
  const bool forked = origin == ThreadOrigin::kForked && forebear != nullptr;
  if (forked) {
    target.inherit(*forebear);
    roster_.announce(target);
  }
  if (sampling_) {
    WindowEdge edge = roster_.edge_of(target, WindowEdge::Kind::kBegins);
    edge.fresh = origin == ThreadOrigin::kExeced;
    if (forked)
      edge.inherits.emplace(roster_.thread(target, Tid{pid.value}),
                            interner_.marker(kInheritedByFork));
    context_.queue.push(std::move(edge));
  }
  context_.to_collector.wake();
  return target;
}

void TracingEngine::on_thread_started(Pid pid, Tid tid, ThreadOrigin origin) {
  if (origin == ThreadOrigin::kExeced) {
    awaiting_exec_.erase(pid);
    if (const auto it = unannounced_.find(pid); it != unannounced_.end()) it->second = true;
  }
  if (origin == ThreadOrigin::kForked && announced_.erase(pid) == 0)
    unannounced_.emplace(pid, false);
  if (awaiting_exec_.contains(pid)) return;
  start_thread(target_of(pid, origin), tid, origin);
}

void TracingEngine::on_thread_ended(Pid, Tid tid) {
  end_thread(tid);
  roster_.remove_thread(tid);
}

void TracingEngine::on_forked(Pid parent, Pid child, bool shares_memory) {
  if (Target* target = roster_.find_process(parent); target != nullptr && !shares_memory) {
    context_.queue.push(ForkNoticed{target->index()});
  }
  if (!context_.options.subprocesses) return;
  // The child's own events may have come first, its exec among them.
  bool executed = false;
  if (const auto it = unannounced_.find(child); it != unannounced_.end()) {
    executed = it->second;
    unannounced_.erase(it);
  } else {
    announced_.insert(child);
  }
  if (!shares_memory || executed) return;
  // vfork: until its exec the child is its parent in all but name.
  awaiting_exec_.insert(child);
  if (Target* early = roster_.find_process(child)) {
    end_thread(Tid{child.value});
    context_.queue.push(WindowEdge{early->index(), WindowEdge::Kind::kExeced, 0, {}, false});
    roster_.remove_process(child);
  }
}

void TracingEngine::on_exec(Pid pid) {
  Target* target = roster_.find_process(pid);
  if (target == nullptr) return;
  context_.queue.push(WindowEdge{target->index(), WindowEdge::Kind::kExeced, 0, {}, false});
  roster_.remove_process(pid);
}

void TracingEngine::on_exiting(Pid pid) {
  if (Target* target = roster_.find_process(pid)) push_edge(*target, WindowEdge::Kind::kLeaves);
}

void TracingEngine::on_process_ended(Pid pid, attach::WaitStatus status) {
  awaiting_exec_.erase(pid);
  announced_.erase(pid);
  unannounced_.erase(pid);
  Target* target = roster_.find_process(pid);
  if (target == nullptr) return;
  context_.queue.push(
      WindowEdge{target->index(), WindowEdge::Kind::kExited, 0, describe_end(status), false});
  roster_.remove_process(pid);
  context_.to_collector.wake();
}

void TracingEngine::push_edge(const Target& target, WindowEdge::Kind kind) {
  context_.queue.push(roster_.edge_of(target, kind));
}

}  // namespace memspy::sampler
