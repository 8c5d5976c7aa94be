// Writes the cheap figures of all targets, now and then also to the history, and keeps the shelf
// within its limits, on a thread of its own: a disk that takes its time holds nobody else up. What
// it does not take in time is lost, and counted.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "daemon/config.h"
#include "daemon/segment_sink.h"
#include "daemon/shelf.h"
#include "memspy/sample.h"
#include "memspy/series.h"

namespace memspy::daemon {

// What one tick says. Times are since the recorder's start.
struct SeriesTick {
  std::chrono::nanoseconds time{};
  std::vector<ProcessRecord> fresh;  // seen for the first time, or changed
  std::vector<SeriesPoint> points;
  std::vector<ProcessIndex> gone;
};

struct RecorderFigures {
  std::uint64_t bytes = 0;
  std::map<std::string, std::uint64_t> bytes_of;  // by owner_name()
  std::uint64_t lost_ticks = 0;
  std::uint64_t removed_files = 0;
  std::string trouble;  // why nothing is written; "" when it is
};

class Recorder {
 public:
  // kOutput: the folders cannot be made.
  static Result<std::unique_ptr<Recorder>> start(const std::string& state_dir,
                                                 const RecorderConfig& limits,
                                                 const RunHeader& header);
  ~Recorder();  // what has been added is written, as far as the disk goes along
  Recorder(const Recorder&) = delete;
  Recorder& operator=(const Recorder&) = delete;

  // Each from any thread; none waits for the disk.
  void add(SeriesTick tick);
  void set_limits(const RecorderConfig& limits);
  RecorderFigures figures() const;

 private:
  Recorder(const std::string& state_dir, const RecorderConfig& limits, const RunHeader& header);
  void run();
  void write(const SeriesTick& tick);
  void write_history(const SeriesTick& tick);
  void tidy();

  mutable std::mutex mutex_;
  std::condition_variable news_;
  std::deque<SeriesTick> queue_;
  RecorderConfig limits_;
  RecorderFigures figures_;
  bool ending_ = false;
  // The thread's own.
  Shelf shelf_;
  SegmentSink segments_, history_;
  std::map<ProcessIndex, SeriesPoint> latest_;
  std::chrono::nanoseconds next_history_{};  // by the run's time
  RunHeader header_;
  std::thread thread_;
};

}  // namespace memspy::daemon
