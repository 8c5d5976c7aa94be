// Records of one run passed on under other numbers: several runs become one recording, and one run
// several segments. Definitions (processes, threads, frames, stacks) are kept here, and told to the
// next sink when something of theirs is, so that each segment is whole by itself.
//
// One thread.
#pragma once

#include <map>
#include <optional>
#include <vector>

#include "memspy/sample_sink.h"

namespace memspy::daemon {

// The numbers of the recording that is made. Processes are told apart by identity, threads by
// process and tid, frames and stacks by what they are.
class Numbering {
 public:
  // `out` outlives this.
  explicit Numbering(SampleSink& out) : out_(out) {}
  SampleSink& out() { return out_; }
  // The number of it there; tells what is new about it. `record` has the parent's number already.
  Result<ProcessIndex> define(ProcessRecord record);
  Result<ThreadIndex> define(ThreadRecord record);
  Result<FrameId> define(const Frame& frame);
  Result<StackId> define(StackId parent, FrameId frame);

 private:
  SampleSink& out_;
  StackTable stacks_;
  std::map<ProcessIdentity, ProcessRecord> processes_;
  std::map<std::pair<ProcessIndex, Tid>, ThreadRecord> threads_;
};

class Renumber final : public SampleSink {
 public:
  // Nothing is told before direct(). `only`: of which process; absent: all.
  explicit Renumber(std::optional<ProcessIdentity> only = std::nullopt) : only_(only) {}
  // From here on to `numbers`, which outlives this or the next call, with `shift` added to times.
  void direct(Numbering* numbers, std::chrono::nanoseconds shift);

  // There will be no more of this process.
  void forget(ProcessIndex index);

  // The header and the end are the business of who makes the recording.
  Result<Unit> on_header(const RunHeader&) override { return Unit{}; }
  Result<Unit> on_process(const ProcessRecord&) override;
  Result<Unit> on_thread(const ThreadRecord&) override;
  Result<Unit> on_frame(FrameId, const Frame&) override;
  Result<Unit> on_stack(StackId, const StackTable::Node&) override;
  Result<Unit> on_point(const SeriesPoint&) override;
  Result<Unit> on_growth(const GrowthRecord&) override;
  Result<Unit> on_unattributed(const UnattributedRecord&) override;
  Result<Unit> on_live(const LiveRecord&) override;
  Result<Unit> on_gap(const Gap&) override;
  Result<Unit> on_tick_end(std::chrono::nanoseconds) override;
  Result<Unit> finish(const RunSummary&) override { return Unit{}; }

 private:
  bool wanted(ProcessIndex index) const;
  Result<ProcessIndex> process(ProcessIndex index);
  Result<ThreadIndex> thread(ThreadIndex index);
  Result<StackId> stack(StackId id);
  // What a thread's stack has done, with the numbers and the time that it has there.
  template <typename Record>
  Result<Record> renumbered(Record record);

  std::optional<ProcessIdentity> only_;
  Numbering* numbers_ = nullptr;
  std::chrono::nanoseconds shift_{};
  // As the source numbers them.
  std::map<ProcessIndex, ProcessRecord> processes_;
  std::map<ThreadIndex, ThreadRecord> threads_;
  std::map<FrameId, Frame> frames_;
  std::map<StackId, StackTable::Node> nodes_;
  // What is told already, and its number there.
  std::map<ProcessIndex, ProcessIndex> process_there_;
  std::map<ThreadIndex, ThreadIndex> thread_there_;
  std::map<StackId, StackId> stack_there_;
};

}  // namespace memspy::daemon
