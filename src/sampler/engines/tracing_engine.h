// What every engine that traces has in common: the seizure, who is observed, how processes come,
// go, fork and execute, and the wait for what happens next. Tracer thread.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <unordered_map>
#include <unordered_set>

#include "attach/seizure.h"
#include "base/unique_fd.h"
#include "sampler/engines/engine.h"
#include "sampler/native_sampler.h"
#include "sampler/roster.h"
#include "sampler/stack_interner.h"

namespace memspy::sampler {

class TracingEngine : public Engine, protected attach::TraceeObserver {
 public:
  explicit TracingEngine(EngineContext& context);
  ~TracingEngine() override;

  Result<Unit> attach(Pid pid, AttachKind kind) final;
  void run(const std::function<void()>& began) final;

 protected:
  // A thread of an observed process; stopped unless `origin` is kSeized.
  virtual void start_thread(Target& target, Tid tid, attach::ThreadOrigin origin) = 0;
  virtual void end_thread(Tid tid) = 0;
  // Sampling begins for every thread started so far; later ones begin as they start.
  virtual void begin() = 0;
  // One round: what is due now. `wait` has handled what the kernel had to say.
  virtual void work() = 0;
  // Until when may the next round sleep?
  virtual std::chrono::nanoseconds pause() = 0;
  // A descriptor watched with this key is readable.
  virtual void on_readable(std::uint64_t key) = 0;
  // Sampling has ended: nothing new may be asked of the target.
  virtual void cease() = 0;

  // Of a process that may be starting up; once it is known for Python, everybody is told.
  void look_for_interpreter(Target& target);
  struct PythonThread {
    std::uint64_t thread_id = 0;  // pthread_self()
    RemoteAddr state;
  };
  // Of a stopped thread; `known`: its pthread_self(). A thread pointer counts only once it has led
  // to a Python state: a program that is starting has none yet, or another than its interpreter
  // will know it by.
  std::optional<PythonThread> find_stopped(Target& target, Tid tid,
                                           std::optional<std::uint64_t> known = std::nullopt);
  void watch(int fd, std::uint64_t key);
  bool sampling() const { return sampling_; }

  EngineContext& context_;
  Roster roster_;
  StackInterner interner_;
  NativeSampler natives_;
  attach::Seizure seizure_;

 private:
  void on_thread_started(Pid pid, Tid tid, attach::ThreadOrigin origin) final;
  void on_thread_ended(Pid pid, Tid tid) final;
  void on_forked(Pid parent, Pid child, bool shares_memory) final;
  void on_exec(Pid pid) final;
  void on_exiting(Pid pid) final;
  void on_process_ended(Pid pid, attach::WaitStatus status) final;

  Result<Unit> find_interpreter(Pid pid);
  Target& target_of(Pid pid, attach::ThreadOrigin origin);
  void push_edge(const Target& target, WindowEdge::Kind kind);
  void wait();
  void release();

  UniqueFd epoll_, child_signals_;
  std::unordered_set<Pid> awaiting_exec_;
  // A birth is told twice, by the parent and by the child, in either order: those told by the
  // parent alone; by the child alone, with whether it has executed a program since.
  std::unordered_set<Pid> announced_;
  std::unordered_map<Pid, bool> unannounced_;
  bool sampling_ = false;
};

}  // namespace memspy::sampler
