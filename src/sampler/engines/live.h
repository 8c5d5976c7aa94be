// `--mode live`: the engine `faults`, and beside it watchpoints on the frontier of pymalloc. A
// thread that writes to a watched block is stopped before its next instruction, as at a page fault,
// and its Python stack is the one that takes the block. docs/design/0004-live-heap.md says why so.
#pragma once

#include <array>
#include <map>
#include <memory>
#include <random>
#include <unordered_map>
#include <vector>

#include "attach/perf_watch.h"
#include "sampler/engines/page_fault.h"
#include "sampler/live/live_heap.h"
#include "sampler/live/live_watcher.h"
#include "sampler/stop_signal.h"

namespace memspy::sampler {

class LiveEngine final : public PageFaultEngine {
 public:
  explicit LiveEngine(EngineContext& context);
  ~LiveEngine() override;

  // Can it work on this process? An error says why not.
  static Result<Unit> probe(const procfs::ProcDir& proc, Pid pid);

 private:
  struct Thread {
    Tid tid;
    Target* target;
    ThreadIndex index;
    StopSignal signal;
    bool refused = false;  // no watchpoint can be set on it
    std::vector<attach::PerfWatch> watches;
  };
  struct Heap;  // of one process
  // A stop between the moment its stack was read and the moment its thread runs again.
  struct Pending {
    bool active = false, faulted = false;  // of a watch; of the engine below as well
    SteadyTime begin{};
    Thread* thread = nullptr;
    std::vector<std::pair<std::size_t, cpython::BlockContent::Write>> writes;
    bool python = false, readable = false, native = false;
  };

  void start_thread(Target& target, Tid tid, attach::ThreadOrigin origin) override;
  void end_thread(Tid tid) override;
  void work() override;
  std::chrono::nanoseconds pause() override;
  void cease() override;
  bool on_signal(Pid pid, Tid tid, const attach::SignalStop& stop) override;
  void on_resumed(Pid pid, Tid tid) override;

  static bool is_ours(const Thread& thread, const attach::SignalStop& stop);
  void take_writes(Thread& thread, Heap& heap);
  void read_stack(Thread& thread);
  std::optional<LiveOwner> owner_of(const Pending& stop);
  bool open_watches(Thread& thread, bool newborn = false);
  std::size_t watched_threads(const Target& target) const;
  void check_signals();
  void look_for_heap(Target& target);
  void advance(Heap& heap, SteadyTime now);
  void publish(Heap& heap);
  Heap* heap_of(const Target& target);

  std::unordered_map<Tid, std::unique_ptr<Thread>> threads_;
  std::map<std::uint32_t, std::unique_ptr<Heap>> heaps_;  // by process index
  std::map<std::uint32_t, SteadyTime> next_search_;       // …of those without one
  cpython::RawStack stack_;
  Pending pending_;
  SteadyTime next_signal_check_{}, next_round_{};
  std::minstd_rand random_;
};

}  // namespace memspy::sampler
