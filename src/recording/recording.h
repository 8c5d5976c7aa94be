// A recording: every record of a run in one SQLite database (WAL; schema in
// docs/recording-format.md). Readable while it is written and after a crash.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "memspy/result.h"
#include "memspy/sample_sink.h"

namespace memspy::recording {

// PRAGMA user_version. 2 has native frames, and mode live, in which `growth` is of the Python heap;
// 3 has mode alloc, whose table tells CPU time. Recordings of 1 and 2 are read as well.
inline constexpr int kFormatVersion = 3;

// Writes to a new file; one transaction per tick. One thread.
class Writer final : public SampleSink {
 public:
  // kOutput: the file exists or cannot be created.
  static Result<std::unique_ptr<Writer>> create(const std::string& path);
  ~Writer() override;
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
  // Folds the WAL back into the one file, so that a copy of it alone is the run up to the last
  // tick.
  void fold();
  // Folds too, and leaves no file beside it.
  Result<Unit> finish(const RunSummary&) override;

 private:
  struct Impl;
  explicit Writer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

// Reads a finished, growing, or crashed recording.
class Reader {
 public:
  // kCorrupt: not a recording; kUnsupported: a newer format, both versions named.
  static Result<Reader> open(const std::string& path);
  Reader(Reader&&) noexcept;
  Reader& operator=(Reader&&) noexcept;
  ~Reader();
  const RunHeader& header() const;
  // Absent when the run did not end in order; then `note()` says what is known.
  const std::optional<RunSummary>& summary() const;
  const std::string& note() const;
  // Drives a sink through the whole recording, in the order the run had.
  Result<Unit> replay(SampleSink& sink) const;
  // Names that were found for native frames and stored: see frame_names.h. By frame, innermost
  // first.
  std::map<FrameId, std::vector<Frame>> names() const;

 private:
  struct Impl;
  explicit Reader(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace memspy::recording
