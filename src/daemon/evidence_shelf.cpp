#include "daemon/evidence_shelf.h"

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <map>
#include <tuple>
#include <utility>

#include "base/file.h"
#include "daemon/json.h"

namespace memspy::daemon {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMostBundles = 32;
constexpr auto kPrecious = std::chrono::hours(24);
constexpr std::size_t kLongestAlert = 64U << 10;

std::uint64_t bytes_within(const fs::path& folder) {
  std::uint64_t bytes = 0;
  std::error_code error;
  for (fs::directory_iterator entry(folder, error); !error && entry != fs::directory_iterator();
       entry.increment(error)) {
    std::error_code gone;  // a file that is being written goes and comes
    const auto size = entry->file_size(gone);
    bytes += gone ? 0 : size;
  }
  return bytes;
}

// Names begin with the milliseconds of their alert.
KeptBundle read_bundle(const fs::path& path) {
  KeptBundle bundle;
  bundle.path = path.string();
  bundle.bytes = bytes_within(path);
  const std::string name = path.filename().string();
  std::int64_t milliseconds = 0;
  std::from_chars(name.data(), name.data() + name.size(), milliseconds);
  bundle.time = std::chrono::milliseconds(milliseconds);
  const Json alert = parse_json(read_file(bundle.path + "/alert.json", kLongestAlert).value_or(""));
  bundle.alert = member<std::string>(alert, "alert").value_or("");
  bundle.service = member<std::string>(alert, "service").value_or("");
  bundle.oom_killed = member<std::string>(alert, "state") == "oom-killed";
  return bundle;
}

// The newest of each service that was killed a while ago.
std::vector<std::string> precious(const std::vector<KeptBundle>& bundles,
                                  std::chrono::nanoseconds now) {
  std::map<std::string, std::string> newest;  // by service
  for (const KeptBundle& bundle : bundles)
    if (bundle.oom_killed && now - bundle.time < kPrecious) newest[bundle.service] = bundle.path;
  std::vector<std::string> paths;
  for (auto& [service, path] : newest) paths.push_back(std::move(path));
  return paths;
}

}  // namespace

std::vector<KeptBundle> kept_bundles(const std::string& folder) {
  std::vector<KeptBundle> bundles;
  std::error_code error;
  for (fs::directory_iterator entry(folder, error); !error && entry != fs::directory_iterator();
       entry.increment(error))
    bundles.push_back(read_bundle(entry->path()));
  std::sort(bundles.begin(), bundles.end(), [](const KeptBundle& a, const KeptBundle& b) {
    return std::tie(a.time, a.path) < std::tie(b.time, b.path);
  });
  return bundles;
}

std::uint64_t total_bytes(const std::vector<KeptBundle>& bundles) {
  std::uint64_t total = 0;
  for (const KeptBundle& bundle : bundles) total += bundle.bytes;
  return total;
}

std::vector<std::string> bundles_to_remove(std::vector<KeptBundle> bundles,
                                           std::uint64_t most_bytes, std::chrono::nanoseconds now) {
  const std::vector<std::string> kept_longest = precious(bundles, now);
  std::vector<std::string> removed;
  while (bundles.size() > 1 &&
         (bundles.size() > kMostBundles || total_bytes(bundles) > most_bytes)) {
    std::map<std::pair<std::string, std::string>, std::size_t> counts;
    for (const KeptBundle& bundle : bundles) ++counts[{bundle.service, bundle.alert}];
    const auto rank = [&](const KeptBundle& bundle) {
      const bool last =
          std::find(kept_longest.begin(), kept_longest.end(), bundle.path) != kept_longest.end();
      return std::pair(!last, counts[{bundle.service, bundle.alert}]);
    };
    const auto goes = std::max_element(  // of equals the first, which is the oldest
        bundles.begin(), bundles.end() - 1,
        [&](const KeptBundle& a, const KeptBundle& b) { return rank(a) < rank(b); });
    removed.push_back(goes->path);
    bundles.erase(goes);
  }
  return removed;
}

}  // namespace memspy::daemon
