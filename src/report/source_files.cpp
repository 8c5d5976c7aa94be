#include "report/source_files.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <filesystem>

#include "base/file.h"
#include "base/unique_fd.h"
#include "recording/text.h"

namespace memspy::report {
namespace {

constexpr std::size_t kMaxSourceBytes = 16U << 20;
constexpr std::size_t kTabWidth = 8;

std::vector<std::string> split_lines(const std::string& text) {
  std::vector<std::string> lines;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    std::string line;
    for (const char c : text.substr(at, end - at)) {
      if (c == '\t') {
        line.append(kTabWidth - line.size() % kTabWidth, ' ');
      } else if (c != '\r') {
        line.push_back(c);
      }
    }
    lines.push_back(recording::escape_text(line));
    at = end + 1;
  }
  return lines;
}

// The path itself, then under each root its longest tail that exists: a container's /srv/app/x.py
// is app/x.py or x.py in a checkout.
std::vector<std::string> candidates(const std::string& file,
                                    const std::vector<std::string>& roots) {
  std::vector<std::string> paths{file};
  for (const auto& root : roots) {
    for (std::size_t at = 0; at != std::string::npos && at < file.size();) {
      const std::size_t from = file[at] == '/' ? at + 1 : at;
      paths.push_back(root + "/" + file.substr(from));
      at = file.find('/', from);
    }
  }
  return paths;
}

// Who owns a folder can put another file at a path between two looks at it. So the path is looked
// up once: what is tested is the file that is then read, and nothing is read of it before.
std::optional<Source> read_source(const std::string& path, std::chrono::nanoseconds run_start,
                                  PathTest may_read) {
  const UniqueFd file(::open(path.c_str(), O_PATH | O_CLOEXEC));
  struct stat info {};
  if (!file.valid() || ::fstat(file.get(), &info) != 0 || !S_ISREG(info.st_mode))
    return std::nullopt;
  const std::string link = "/proc/self/fd/" + std::to_string(file.get());
  if (may_read != nullptr) {
    std::error_code failed;
    const std::string real = std::filesystem::read_symlink(link, failed);
    if (failed || !may_read(real)) return std::nullopt;
  }
  const auto text = read_file(link, kMaxSourceBytes);
  if (!text.has_value()) return std::nullopt;
  return Source{path, split_lines(*text), std::chrono::seconds(info.st_mtim.tv_sec) > run_start};
}

}  // namespace

std::optional<Source> find_source(const std::string& file, const std::vector<std::string>& roots,
                                  std::chrono::nanoseconds run_start, PathTest may_read) {
  for (const auto& path : candidates(file, roots))
    if (auto source = read_source(path, run_start, may_read)) return source;
  return std::nullopt;
}

}  // namespace memspy::report
