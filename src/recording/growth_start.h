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

// The RSS of the process of which it has risen most.
std::vector<SizeAt> rss_of_main_grower(std::span<const SeriesPoint> points);

class Profile;
// By the points of a run and what is known of the time before it (Profile::earlier). nullopt also
// where all that is shorter than a minute.
std::optional<GrowthStart> growth_start_of(const Profile& profile);

// For Profile::earlier: RSS before the wall clock's `before`, by another recording of the process.
Result<std::vector<SizeAt>> load_earlier(const std::string& path, std::chrono::nanoseconds before);

}  // namespace memspy::recording
