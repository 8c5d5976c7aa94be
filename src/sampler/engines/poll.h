// Engine `poll`, for hosts where perf events are refused: look at short intervals. Threads that run
// are stopped, the others are read as they stand; what RSS grew since the last look is charged to
// each thread's frames that were there at both looks, in proportion to the faults the thread took.
// Approximate, and every output says so: what happens within an interval is seen as a whole.
#pragma once

#include <memory>
#include <random>
#include <unordered_map>

#include "sampler/engines/tracing_engine.h"

namespace memspy::sampler {

class PollEngine final : public TracingEngine {
 public:
  explicit PollEngine(EngineContext& context);
  std::string_view name() const override { return "poll"; }

 private:
  // Why a thread that has a Python state has no stack at this look. Only a look that would have
  // been a sample is a rejected one: most looks are at threads that took no fault since the last.
  enum class Missed { kNothing, kUnreadable, kLate };
  struct Thread {
    Tid tid;
    Target* target = nullptr;
    ThreadIndex index;
    std::optional<std::uint64_t> thread_id;
    std::uint64_t faults = 0, last_faults = 0;  // minor faults, as /proc counts them
    cpython::RawStack now, before;
    bool has_now = false, has_before = false;
    Missed missed = Missed::kNothing;
  };

  void start_thread(Target& target, Tid tid, attach::ThreadOrigin origin) override;
  void end_thread(Tid tid) override { threads_.erase(tid); }
  void begin() override;
  void work() override;
  std::chrono::nanoseconds pause() override;
  void on_readable(std::uint64_t) override {}
  void cease() override {}
  bool on_signal(Pid, Tid, const attach::SignalStop&) override { return false; }
  void on_resumed(Pid, Tid) override {}

  void look(Target& target);
  void look_at_thread(Thread& thread);
  void read_stack(Thread& thread, SteadyTime deadline);
  void charge(Target& target, std::uint64_t pages);
  StackId common_stack(Thread& thread);
  void schedule(std::chrono::nanoseconds price);

  std::unordered_map<Tid, Thread> threads_;
  std::unordered_map<std::uint32_t, std::uint64_t> resident_pages_;  // by process index
  SteadyTime next_look_{};
  std::chrono::nanoseconds held_{};  // threads were stopped for so long in the look at hand
  std::minstd_rand random_;
};

}  // namespace memspy::sampler
