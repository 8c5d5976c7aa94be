// The model behind every report: a run summed up in memory. A sink, so that it is filled the same
// way by a live run (top, attach) and by a replayed recording.
#pragma once

#include <chrono>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "memspy/sample_sink.h"
#include "recording/growth_start.h"
#include "recording/measure.h"
#include "recording/stack_timeline.h"

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

// Mode alloc: CPU time in user mode, and the ticks that told of it.
struct CpuSpent {
  std::chrono::nanoseconds time{};
  std::uint64_t samples = 0;
};

// Options that shape stacks; the same for live and derived outputs.
struct StackShape {
  bool threads = false;         // -t: a `thread NAME` frame below the process
  bool functions = false;       // -F: lines are dropped
  bool full_filenames = false;  // --full-filenames: else the shortest tail (file.py)
  bool no_lines = false;        // --nolineno
  bool processes = false;       // -s: a `pid N (name)` root frame
};

// Which records count, by their time since the start of the run: from < time <= to, as a tick
// closes what happened before it.
struct TimeWindow {
  std::optional<std::chrono::nanoseconds> from;
  std::optional<std::chrono::nanoseconds> to;
  bool whole() const { return !from.has_value() && !to.has_value(); }
  bool contains(std::chrono::nanoseconds time) const {
    return (!from.has_value() || time > *from) && (!to.has_value() || time <= *to);
  }
};

class Reader;

// What stacks did by time: some formats need it, and it is as large as all records of the run.
enum class Timeline { kNone, kKeep };

// What a profile adds up to. growth - shrink is the change of RSS.
struct ProfileTotals {
  std::uint64_t attributed_bytes = 0;    // sum of the stacks that grew
  std::uint64_t unattributed_bytes = 0;  // of the processes whose unexplained rest grew
  std::uint64_t shrink_bytes = 0;        // resident before and given back
  std::uint64_t touched_bytes = 0;       // gross
  std::uint64_t samples = 0;             // of the stacks
  std::uint64_t growth_bytes() const { return attributed_bytes + unattributed_bytes; }
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
  Result<Unit> on_live(const LiveRecord&) override;
  Result<Unit> on_temporary(const TemporaryRecord&) override;
  Result<Unit> on_allocation(const AllocationRecord&) override;
  Result<Unit> on_gap(const Gap&) override;
  Result<Unit> on_tick_end(std::chrono::nanoseconds) override;
  Result<Unit> finish(const RunSummary&) override;

  // A whole recording, or the window of it.
  static Result<Profile> load(const Reader& reader, TimeWindow window = {},
                              Timeline timeline = Timeline::kNone);

  ProfileTotals totals() const;
  // Mode alloc tells time and never bytes; every other mode bytes.
  Measure measure() const;
  CpuSpent allocating() const;      // of all stacks
  CpuSpent not_allocating() const;  // the rest of the CPU time in user mode
  // nullptr for an index that no record has defined, 0 included.
  const ProcessRecord* find_process(ProcessIndex index) const;
  const ThreadRecord* find_thread(ThreadIndex index) const;

  // Set before the first record. Definitions, header and summary are kept whatever the window; of
  // the points, also the last one before it, which is where the window starts from.
  TimeWindow window;
  bool keep_points = true;
  bool keep_timeline = false;  // of what the run measures

  RunHeader header;
  std::vector<ProcessRecord> processes;  // by index - 1
  std::vector<ThreadRecord> threads;     // by index - 1
  StackTable stacks;                     // ids equal the run's
  // Of native frames, which are addresses; expand_names() (frame_names.h) puts them into `stacks`.
  std::map<FrameId, std::vector<Frame>> names;
  std::map<ProfileKey, ProfileValue> growth;
  std::map<ProcessIndex, std::int64_t> unattributed;  // net bytes
  StackTimeline timeline;           // these two, or `allocation`, by time; only when keep_timeline
  std::vector<SeriesPoint> points;  // only when keep_points; see window
  std::vector<SizeAt> earlier;      // RSS before the run, where somebody else has it
  std::vector<LiveRecord> live;     // mode live, of the whole run
  std::vector<TemporaryRecord> temporaries;   // the same
  std::map<ProfileKey, CpuSpent> allocation;  // mode alloc; kNoStack: not allocating
  std::vector<Gap> gaps;
  std::chrono::nanoseconds begin_time{0};  // the last tick before the window
  std::chrono::nanoseconds last_time{};    // of the last tick within the window
  std::optional<RunSummary> summary;       // of the whole run
  std::string note;                        // the reader's: what could not be read
};

}  // namespace memspy::recording
