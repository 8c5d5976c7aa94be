// Since when memory grows: the moment that the growth in which a series ends began. What a program
// takes while it starts, and what goes up and down, is not that.
//
// Values only; any thread.
#pragma once

#include <chrono>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "memspy/result.h"
#include "memspy/series.h"

namespace memspy::recording {

struct SizeAt {
  std::chrono::nanoseconds time{};
  double bytes = 0;
};

struct GrowthStart {
  std::chrono::nanoseconds time{};  // of the last value before it
  double bytes = 0;                 // the size then
  double bytes_per_minute = 0;      // from then to the end
};

// `sizes`: ascending by time; those that make no sense are passed over. nullopt: it does not grow
// at the end, or has grown from the beginning, or there is too little of it to tell.
std::optional<GrowthStart> find_growth_start(std::span<const SizeAt> sizes);

// The process of which RSS has risen most; nullopt: there are no points.
std::optional<ProcessIndex> main_grower(std::span<const SeriesPoint> points);
std::vector<SizeAt> rss_of_process(std::span<const SeriesPoint> points, ProcessIndex process);

class Profile;
// By the points of a run and what is known of the time before it (Profile::earlier). nullopt also
// where all that is shorter than half a minute.
std::optional<GrowthStart> growth_start_of(const Profile& profile);

// Profile::earlier, by another recording of the process that grows most. kUsage: it has no such
// process.
Result<Unit> load_earlier(const std::string& path, Profile& profile);

}  // namespace memspy::recording
