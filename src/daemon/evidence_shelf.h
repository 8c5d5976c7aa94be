// The bundles of evidence that are kept: how large they are, and which go when there is too much.
//
// Any thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

namespace memspy::daemon {

struct KeptBundle {
  std::string path;
  std::string alert, service;  // of its alert.json; "" when that cannot be read
  bool oom_killed = false;
  std::chrono::nanoseconds time{};  // since the epoch
  std::uint64_t bytes = 0;
};

// Ascending by time.
std::vector<KeptBundle> kept_bundles(const std::string& folder);
std::uint64_t total_bytes(const std::vector<KeptBundle>& bundles);

// Paths of those that are to go. Of the alert and service that have most bundles the oldest first:
// one that comes and goes is no reason to lose the only one of another. Last of all go the newest
// of a service that was OOM-killed within a day; the newest of all never does.
std::vector<std::string> bundles_to_remove(std::vector<KeptBundle> bundles,
                                           std::uint64_t most_bytes, std::chrono::nanoseconds now);

}  // namespace memspy::daemon
