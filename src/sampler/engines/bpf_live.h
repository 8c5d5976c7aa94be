// `--mode live` without a stop: beside engine bpf's page faults, watchpoints on the frontier of
// pymalloc (LiveRounds) whose writes a program in the kernel records. A write is told up to a
// twentieth of a second later, with the time it was made at. Threads inherit the watches of who
// starts them, so that one that lives for a request is seen from its first instruction on.
#pragma once

#include <functional>
#include <optional>

#include "attach/bpf_faults.h"
#include "sampler/live/live_rounds.h"

namespace memspy::sampler {

class BpfLive final : private WatchSource {
 public:
  // `take_records`: takes all that waits in the ring.
  BpfLive(EngineContext& context, Roster& roster, StackInterner& interner,
          attach::BpfFaults& faults, std::function<void()> take_records);

  // Of the budget, for page faults.
  static constexpr double kFaultShare = 0.15;

  // `newborn`: it has begun within this run.
  void start_thread(Target& target, Tid tid, bool newborn);
  void end_thread(Tid tid) { rounds_.end_thread(tid); }
  // The watch that this write was waited for with; nullopt: none, or none any more.
  std::optional<std::size_t> slot_of(const Target& target, const memspy_bpf_record& record) const;
  // `owner`: nullopt where its stack did not hold together.
  void on_write(const Target& target, std::size_t slot, const memspy_bpf_record& record,
                const std::optional<LiveOwner>& owner);
  // When to come again, at the latest.
  SteadyTime work(SteadyTime now) { return rounds_.work(now); }
  void cease();

 private:
  void open(WatchedThread& thread, bool newborn) override;
  void expect(const Target& target, RemoteAddr address) override;
  void forget(const Target& target, RemoteAddr address) override;
  void catch_up() override { take_records_(); }

  attach::BpfFaults& faults_;
  std::function<void()> take_records_;
  LiveRounds rounds_;
};

}  // namespace memspy::sampler
