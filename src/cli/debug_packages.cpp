#include "cli/debug_packages.h"

#include <filesystem>

#include "base/file.h"

namespace memspy::cli {
namespace {

constexpr std::size_t kLargestList = 8U << 20;
constexpr std::size_t kMostLists = 20'000;

bool has_line(const std::string& text, const std::string& line) {
  for (auto at = text.find(line); at != std::string::npos; at = text.find(line, at + 1)) {
    const bool begins = at == 0 || text[at - 1] == '\n';
    const std::size_t end = at + line.size();
    if (begins && (end == text.size() || text[end] == '\n')) return true;
  }
  return false;
}

// /lib is a link to /usr/lib; packages of before have their files under the one, and of after
// under the other name.
std::string other_name(const std::string& path) {
  constexpr std::string_view kUsr = "/usr";
  return path.starts_with("/usr/lib") ? path.substr(kUsr.size())
         : path.starts_with("/lib")   ? std::string(kUsr) + path
                                      : path;
}

std::string debug_name(std::string package) {
  package.erase(std::min(package.find(':'), package.size()));  // "libc6:amd64"
  return package == "libc6" ? "libc6-dbg" : package + "-dbgsym";
}

}  // namespace

std::optional<std::map<std::string, std::string>> find_debug_packages(
    const std::string& root, const std::vector<std::string>& paths) {
  namespace fs = std::filesystem;
  std::error_code error;
  fs::directory_iterator entry(root + "/var/lib/dpkg/info", error);
  if (error) return std::nullopt;
  std::map<std::string, std::string> found;
  for (std::size_t count = 0; !error && entry != fs::directory_iterator() && count < kMostLists;
       entry.increment(error), ++count) {
    const fs::path& list = entry->path();
    // A pipe of that name would be waited for.
    if (list.extension() != ".list" || !entry->is_regular_file(error)) continue;
    const auto files = read_file(list.string(), kLargestList);
    if (!files.has_value()) continue;
    for (const std::string& path : paths)
      if (path.starts_with('/') && (has_line(*files, path) || has_line(*files, other_name(path))))
        found.emplace(path, debug_name(list.stem().string()));
  }
  return found;
}

}  // namespace memspy::cli
