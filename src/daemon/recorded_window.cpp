#include "daemon/recorded_window.h"

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <optional>
#include <vector>

#include "daemon/renumber.h"
#include "daemon/shelf.h"
#include "recording/recording.h"

namespace memspy::daemon {
namespace {

namespace fs = std::filesystem;
using std::chrono::milliseconds;
using std::chrono::nanoseconds;

struct Segment {
  milliseconds begin{};
  std::string path;
};

// By the name, which says when it begins. A segment ends where the next one begins, or earlier.
std::vector<Segment> segments_in(const std::string& folder, WallWindow window) {
  std::vector<Segment> all;
  std::error_code none;
  for (const auto& entry : fs::directory_iterator(folder, none)) {
    const std::string stem = entry.path().stem().string();
    long long begin = 0;
    const auto [end, error] = std::from_chars(stem.data(), stem.data() + stem.size(), begin);
    if (entry.path().extension() == ".memspy" && error == std::errc{} &&
        end == stem.data() + stem.size())
      all.push_back({milliseconds(begin), entry.path().string()});
  }
  std::sort(all.begin(), all.end(),
            [](const Segment& a, const Segment& b) { return a.begin < b.begin; });
  std::vector<Segment> wanted;
  for (std::size_t i = 0; i < all.size(); ++i) {
    const bool over = i + 1 < all.size() && all[i + 1].begin <= window.from;
    if (!over && all[i].begin < window.to) wanted.push_back(all[i]);
  }
  return wanted;
}

Result<recording::Profile> load(const std::string& folder, const ProcessIdentity& target,
                                WallWindow window) {
  recording::Profile profile = empty_profile(window);
  MEMSPY_CHECK(tell_recorded(folder, target, window, profile));
  profile.last_time = std::max(profile.last_time, nanoseconds(0));
  return profile;
}

}  // namespace

recording::Profile empty_profile(WallWindow window) {
  recording::Profile profile;
  profile.window.from = nanoseconds(0);
  profile.window.to = window.to - window.from;
  profile.header.wall_start = window.from;
  profile.header.mode = "growth";
  return profile;
}

Result<Unit> tell_recorded(const std::string& folder, const ProcessIdentity& target,
                           WallWindow window, SampleSink& sink) {
  Numbering numbers(sink);
  bool first = true;
  for (const Segment& segment : segments_in(folder, window)) {
    const auto reader = recording::Reader::open(segment.path);
    if (!reader.has_value()) continue;  // removed meanwhile, or cut off before its first tick
    if (std::exchange(first, false)) {
      RunHeader header = reader->header();
      header.wall_start = window.from;
      MEMSPY_CHECK(sink.on_header(header));
    }
    Renumber records(target);
    records.direct(&numbers, reader->header().wall_start - window.from);
    MEMSPY_CHECK(reader->replay(records));
  }
  return Unit{};
}

Result<recording::Profile> load_growth(const std::string& state_dir, const ProcessIdentity& target,
                                       WallWindow window) {
  return load(state_dir + "/targets/" + owner_name(target), target, window);
}

Result<recording::Profile> load_series(const std::string& state_dir, const ProcessIdentity& target,
                                       WallWindow window) {
  return load(state_dir + "/series", target, window);
}

}  // namespace memspy::daemon
