// The numbers of a run, or of a window of it, and the two sentences that every run ends with.
#pragma once

#include <optional>
#include <string>

#include "recording/profile.h"

namespace memspy::report {

struct RunFigures {
  std::chrono::nanoseconds duration{};
  std::uint64_t growth_bytes = 0, attributed_bytes = 0, unattributed_bytes = 0, shrink_bytes = 0;
  std::uint64_t rss_start_bytes = 0, rss_end_bytes = 0, rss_peak_bytes = 0;  // 0: not known
  // What RSS, which is always looked at, moved by while no tracer was at work: up and down of each
  // process, summed up.
  std::uint64_t untraced_growth_bytes = 0, untraced_shrink_bytes = 0;
  std::uint64_t samples = 0, rejected = 0;
  std::uint64_t lost_samples = 0;                                // rejected, and those of the gaps
  std::chrono::nanoseconds gap_time{};                           // with no data
  std::chrono::nanoseconds stopped{}, pause_p99{}, pause_max{};  // of the whole run

  // Mode alloc, which tells nothing of growth: CPU time in user mode, and of that in allocators.
  recording::Measure measure = recording::Measure::kBytes;
  std::chrono::nanoseconds user_cpu{}, allocating{};
  std::chrono::nanoseconds cpu{};             // in the kernel too; 0: not known, as of a window
  std::uint64_t ticks = 0;                    // of the clock
  std::optional<std::uint64_t> unclassified;  // of those; not known of a window

  std::int64_t rss_change() const {
    return static_cast<std::int64_t>(growth_bytes + untraced_growth_bytes) -
           static_cast<std::int64_t>(shrink_bytes + untraced_shrink_bytes);
  }
  double minutes() const { return std::chrono::duration<double>(duration).count() / 60; }
};

// The summary's where the profile is a whole run, else what the window's records add up to.
RunFigures run_figures(const recording::Profile& profile);
// Of a run that has no profile at hand.
RunFigures run_figures(const RunSummary& summary);

// "8112 samples, 3 rejected (0.04 %), stopped 0.3 % of the time (p99 240 µs, max 1.1 ms), 97 % of
// 512 MiB growth attributed"
std::string evidence_line(const RunFigures& figures);

// What an engineer can act on: which line caused how much of the growth, or that nothing grew, that
// memory was given back, or that the growth is not explained.
std::string verdict(const recording::Profile& profile, const recording::StackShape& shape = {},
                    recording::Amount amount = recording::Amount::kNet);

// For the first line of a report of a run that lost more than 1 % of its samples or time, or whose
// recording is damaged or has no end; "" for a sound one.
std::string loss_line(const recording::Profile& profile);

}  // namespace memspy::report
