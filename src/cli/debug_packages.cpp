#include "cli/debug_packages.h"

#include <filesystem>

#include "base/file.h"

namespace memspy::cli {
namespace {

constexpr std::size_t kLargestList = 64U << 20;

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

std::string debug_package_of(const std::string& root, const std::string& path) {
  namespace fs = std::filesystem;
  if (!path.starts_with('/')) return "";
  std::error_code none;
  for (const auto& entry : fs::directory_iterator(root + "/var/lib/dpkg/info", none)) {
    if (entry.path().extension() != ".list") continue;
    const auto files = read_file(entry.path().string(), kLargestList);
    if (files.has_value() && (has_line(*files, path) || has_line(*files, other_name(path))))
      return debug_name(entry.path().stem().string());
  }
  return "";
}

}  // namespace memspy::cli
