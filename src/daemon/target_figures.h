// What is known of a target at a tick, by the cheap way: RSS at every tick from one descriptor that
// stays open, the dearer figures in turns. Nothing here stops the target.
//
// One thread.
#pragma once

#include <chrono>
#include <optional>

#include "base/clock.h"
#include "base/unique_fd.h"
#include "daemon/rate_window.h"
#include "memspy/process.h"
#include "memspy/series.h"
#include "procfs/proc_dir.h"
#include "sampler/series_collector.h"

namespace memspy::daemon {

// Points that say the same are no closer than this: what lies between two of them is known.
inline constexpr std::chrono::seconds kQuietPause{10};

class TargetFigures {
 public:
  // `proc` outlives this.
  TargetFigures(const procfs::ProcDir& proc, Pid pid, SteadyTime now);

  // Reads RSS, and the rest when it is its turn. The point to record: absent while nothing has
  // changed, but for one every ten seconds. `recorded_as`: its process and time.
  std::optional<SeriesPoint> tick(SteadyTime now, ProcessIndex recorded_as,
                                  std::chrono::nanoseconds time);

  std::uint64_t rss_bytes() const { return rss_bytes_; }
  std::optional<double> growth_per_minute() const { return rate_.per_minute(); }
  // What the control group that has the limit holds, without the file cache that it would drop; how
  // fast that grows, over the last minute.
  std::optional<double> group_bytes() const { return group_bytes_; }
  std::optional<double> group_growth_per_minute() const { return group_rate_.per_minute(); }
  // The last of each column that was read; RSS is of this tick.
  const SeriesPoint& latest() const { return latest_; }

 private:
  bool read_rss();
  void read_group(SteadyTime now);
  const procfs::ProcDir& proc_;
  Pid pid_;
  UniqueFd statm_;
  sampler::SeriesCollector dear_;
  SteadyTime next_dear_, next_point_;
  bool spread_ = false;
  RateWindow rate_, group_rate_;
  std::optional<double> group_bytes_;
  std::uint64_t rss_bytes_ = 0;
  SeriesPoint latest_;
};

}  // namespace memspy::daemon
