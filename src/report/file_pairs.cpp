#include "report/file_pairs.h"

#include <algorithm>
#include <cstddef>
#include <string_view>
#include <vector>

#include "base/path.h"

namespace memspy::report {
namespace {

// How many components from the end on are the same.
std::size_t common_folders(std::string_view a, std::string_view b) {
  std::size_t count = 0;
  while (!a.empty() && !b.empty() && base_name(a) == base_name(b)) {
    ++count;
    const auto parent = [](std::string_view path) {
      const auto slash = path.rfind('/');
      return slash == std::string_view::npos ? std::string_view() : path.substr(0, slash);
    };
    a = parent(a);
    b = parent(b);
  }
  return count;
}

// The likest of them; empty where two are alike.
std::string likest(const std::string& file, const std::vector<std::string>& candidates) {
  std::string best;
  std::size_t most = 0;
  for (const std::string& candidate : candidates) {
    const std::size_t common = common_folders(file, candidate);
    if (common > most) best = candidate;
    if (common == most) best.clear();
    most = std::max(most, common);
  }
  return best;
}

}  // namespace

std::map<std::string, std::string> pair_files(const std::set<std::string>& files,
                                              const std::set<std::string>& earlier) {
  std::map<std::string_view, std::vector<std::string>> by_name;
  for (const std::string& file : earlier)
    if (!files.contains(file)) by_name[base_name(file)].push_back(file);
  std::map<std::string, std::string> pairs;
  std::map<std::string, std::size_t> taken;
  for (const std::string& file : files) {
    const auto candidates = by_name.find(base_name(file));
    if (earlier.contains(file) || candidates == by_name.end()) continue;
    const std::string other = likest(file, candidates->second);
    if (other.empty()) continue;
    pairs[file] = other;
    ++taken[other];
  }
  std::erase_if(pairs, [&](const auto& pair) { return taken[pair.second] > 1; });
  return pairs;
}

}  // namespace memspy::report
