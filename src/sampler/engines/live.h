// `--mode live`: the engine `faults`, and beside it watchpoints on the frontier of pymalloc
// (LiveRounds). A thread that writes to a watched block is stopped before its next instruction, as
// at a page fault, and its Python stack is the one that takes the block.
#pragma once

#include <memory>
#include <utility>
#include <vector>

#include "sampler/engines/page_fault.h"
#include "sampler/live/live_rounds.h"

namespace memspy::sampler {

// What there is to say where a watchpoint cannot be had.
Error no_watchpoints(Error error);

class LiveEngine final : public PageFaultEngine, private WatchSource {
 public:
  explicit LiveEngine(EngineContext& context);

  // Can it work on this process? An error says why not.
  static Result<Unit> probe(const procfs::ProcDir& proc, Pid pid);

 private:
  // A stop between the moment its stack was read and the moment its thread runs again.
  struct Pending {
    bool active = false, faulted = false;  // of a watch; of the engine below as well
    SteadyTime begin{};
    WatchedThread* thread = nullptr;
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

  void open(WatchedThread& thread, bool newborn) override;
  void catch_up() override { seizure_.dispatch(); }

  static bool is_ours(const WatchedThread& thread, const attach::SignalStop& stop);
  void take_writes(WatchedThread& thread);
  void read_stack(WatchedThread& thread);
  std::optional<LiveOwner> owner_of(const Pending& stop);
  void check_signals();

  LiveRounds rounds_;
  cpython::RawStack stack_;
  Pending pending_;
  SteadyTime next_signal_check_{}, next_round_{};
};

}  // namespace memspy::sampler
