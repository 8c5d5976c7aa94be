#include "procfs/maps.h"

#include <sys/sysmacros.h>

#include <algorithm>

#include <spdlog/fmt/fmt.h>

#include "procfs/text.h"

namespace memspy::procfs {
namespace {

// The kernel writes a newline inside a path as \012 and escapes nothing else.
std::string unescape_newlines(std::string_view path) {
  std::string out;
  for (auto at = path.find("\\012"); at != std::string_view::npos; at = path.find("\\012")) {
    out.append(path.substr(0, at)).push_back('\n');
    path.remove_prefix(at + 4);
  }
  return out.append(path);
}

bool take_permissions(std::string_view& rest, Mapping& m) {
  if (rest.size() < 5 || rest[4] != ' ') return false;
  m.readable = rest[0] == 'r';
  m.writable = rest[1] == 'w';
  m.executable = rest[2] == 'x';
  m.shared = rest[3] == 's';
  rest.remove_prefix(4);
  return true;
}

// "start-end perms offset major:minor inode   path"
bool parse_line(std::string_view line, Mapping& m) {
  std::string_view rest = line;
  unsigned major = 0;
  unsigned minor = 0;
  if (!text::take_number(rest, m.start.value, 16) || !text::take_char(rest, '-') ||
      !text::take_number(rest, m.end.value, 16) || !text::take_char(rest, ' ') ||
      m.start >= m.end || !take_permissions(rest, m) || !text::take_char(rest, ' ') ||
      !text::take_number(rest, m.offset, 16) || !text::take_char(rest, ' ') ||
      !text::take_number(rest, major, 16) || !text::take_char(rest, ':') ||
      !text::take_number(rest, minor, 16) || !text::take_char(rest, ' ') ||
      !text::take_number(rest, m.inode)) {
    return false;
  }
  if (!rest.empty() && rest.front() != ' ') return false;
  m.device = makedev(major, minor);
  std::string_view path = text::skip_blanks(rest);
  if (path.ends_with(text::kDeleted)) {
    m.deleted = true;
    path.remove_suffix(text::kDeleted.size());
  }
  m.path = unescape_newlines(path);
  return true;
}

}  // namespace

Result<MemoryMap> parse_maps(std::string_view maps) {
  MemoryMap map;
  std::string_view line;
  bool sorted = true;
  const bool whole = maps.ends_with('\n');
  while (text::next_line(maps, line)) {
    if (line.empty()) continue;
    Mapping mapping;
    if (!parse_line(line, mapping)) {
      if (maps.empty() && !whole) break;
      return make_error(Errc::kCorrupt,
                        fmt::format("not a line of maps: \"{}\"", line.substr(0, 200)));
    }
    sorted = sorted && (map.empty() || mapping.start >= map.back().end);
    map.push_back(std::move(mapping));
  }
  if (sorted) return map;
  std::stable_sort(map.begin(), map.end(),
                   [](const Mapping& a, const Mapping& b) { return a.start < b.start; });
  MemoryMap clean;
  for (auto& mapping : map) {
    if (clean.empty() || mapping.start >= clean.back().end) clean.push_back(std::move(mapping));
  }
  return clean;
}

}  // namespace memspy::procfs
