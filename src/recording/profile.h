// The model behind every report: a run summed up in memory. A sink, so that it is filled the same way
// by a live run (top, attach) and by a replayed recording.
#pragma once

#include <map>
#include <string>
#include <tuple>
#include <vector>

#include "memspy/sample_sink.h"

namespace memspy::recording {

struct ProfileKey {
  ProcessIndex process;
  ThreadIndex thread;
  StackId stack;
  auto operator<=>(const ProfileKey&) const = default;
};

struct ProfileValue {
  std::uint64_t touched_bytes = 0;
  std::uint64_t returned_bytes = 0;
  std::uint64_t samples = 0;
  std::int64_t net_bytes() const {
    return static_cast<std::int64_t>(touched_bytes) - static_cast<std::int64_t>(returned_bytes);
  }
};

// Options that shape stacks; the same for live and derived outputs.
struct StackShape {
  bool threads = false;         // -t: a `thread NAME` frame below the process
  bool functions = false;       // -F: lines are dropped
  bool full_filenames = false;  // --full-filenames: else the shortest tail (file.py)
  bool no_lines = false;        // --nolineno
  bool processes = false;       // -s: a `pid N (name)` root frame
};

class Profile final : public SampleSink {
 public:
  Result<Unit> on_header(const RunHeader&) override;
  Result<Unit> on_process(const ProcessRecord&) override;
  Result<Unit> on_thread(const ThreadRecord&) override;
  Result<Unit> on_frame(FrameId, const Frame&) override;
  Result<Unit> on_stack(StackId, const StackTable::Node&) override;
  Result<Unit> on_point(const SeriesPoint&) override;
  Result<Unit> on_growth(const GrowthRecord&) override;
  Result<Unit> on_unattributed(const UnattributedRecord&) override;
  Result<Unit> on_gap(const Gap&) override;
  Result<Unit> on_tick_end(std::chrono::nanoseconds) override;
  Result<Unit> finish(const RunSummary&) override;

  RunHeader header;
  std::vector<ProcessRecord> processes;                       // by index - 1
  std::vector<ThreadRecord> threads;                          // by index - 1
  StackTable stacks;                                          // ids equal the run's
  std::map<ProfileKey, ProfileValue> growth;
  std::map<ProcessIndex, std::int64_t> unattributed;          // net bytes
  std::vector<SeriesPoint> points;                            // only when keep_points
  std::vector<Gap> gaps;
  std::optional<RunSummary> summary;
  bool keep_points = true;
};

}  // namespace memspy::recording
