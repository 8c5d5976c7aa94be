#include "procfs/cgroup.h"

#include <algorithm>
#include <cctype>

#include "base/file.h"
#include "procfs/text.h"

namespace memspy::procfs {
namespace {

constexpr std::size_t kMaxDepth = 64;  // groups between a process and the root
constexpr std::size_t kFileCap = 64U << 10;
constexpr std::uint64_t kNoLimit = 1ULL
                                   << 62;  // v1 prints LONG_MAX rounded down to a page for "none"

// mountinfo escapes blank, tab, newline and backslash as \ooo.
std::string unescape_octal(std::string_view t) {
  std::string out;
  for (std::size_t i = 0; i < t.size(); ++i) {
    const auto digits = t.substr(i + 1, 3);
    unsigned value = 0;
    std::string_view rest = digits;
    if (t[i] == '\\' && digits.size() == 3 && text::take_number(rest, value, 8) && rest.empty() &&
        value < 256) {
      out.push_back(static_cast<char>(value));
      i += 3;
    } else {
      out.push_back(t[i]);
    }
  }
  return out;
}

bool has_item(std::string_view list, std::string_view item) {
  while (!list.empty()) {
    const auto comma = list.find(',');
    if (list.substr(0, comma) == item) return true;
    list = comma == std::string_view::npos ? std::string_view{} : list.substr(comma + 1);
  }
  return false;
}

std::optional<std::string> read_small(const std::string& directory, std::string_view name) {
  auto text = read_file(directory + "/" + std::string(name), kFileCap);
  if (!text) return std::nullopt;
  return std::move(text).value();
}

std::optional<std::uint64_t> read_number(const std::string& directory, std::string_view name) {
  const auto text = read_small(directory, name);
  return text ? text::number<std::uint64_t>(*text) : std::nullopt;
}

std::optional<std::uint64_t> read_limit(const std::string& directory, std::string_view name) {
  const auto text = read_small(directory, name);
  return text ? parse_cgroup_limit(*text) : std::nullopt;
}

std::optional<std::uint64_t> read_key(const std::string& directory, std::string_view name,
                                      std::string_view key) {
  const auto text = read_small(directory, name);
  return text ? parse_cgroup_key(*text, key) : std::nullopt;
}

std::string parent_of(const std::string& path) {
  const auto slash = path.rfind('/');
  return slash == std::string::npos || slash == 0 ? "/" : path.substr(0, slash);
}

struct FileNames {
  std::string_view usage, limit, peak, events;
};
constexpr FileNames kV1 = {"memory.usage_in_bytes", "memory.limit_in_bytes",
                           "memory.max_usage_in_bytes", "memory.oom_control"};
constexpr FileNames kV2 = {"memory.current", "memory.max", "memory.peak", "memory.events"};

}  // namespace

CgroupPaths parse_cgroup_paths(std::string_view input) {
  CgroupPaths paths;
  std::string_view line;
  while (text::next_line(input, line)) {  // "4:memory:/path", "0::/path"
    const auto first = line.find(':');
    const auto second = first == std::string_view::npos ? first : line.find(':', first + 1);
    if (second == std::string_view::npos) continue;
    const auto controllers = line.substr(first + 1, second - first - 1);
    const auto path = line.substr(second + 1);
    if (path.empty() || path.front() != '/') continue;
    if (line.substr(0, first) == "0" && controllers.empty()) paths.v2 = path;
    if (has_item(controllers, "memory")) paths.v1_memory = path;
    if (path.size() > paths.longest.size()) paths.longest = path;
  }
  return paths;
}

std::vector<CgroupMount> parse_cgroup_mounts(std::string_view mountinfo) {
  std::vector<CgroupMount> mounts;
  std::string_view line;
  // "35 31 0:32 ROOT MOUNT-POINT options… - TYPE source super-options"
  while (text::next_line(mountinfo, line)) {
    const auto dash = line.find(" - ");
    if (dash == std::string_view::npos) continue;
    std::string_view tail = line.substr(dash + 3);
    const auto type = text::next_word(tail);
    text::next_word(tail);
    const bool v2 = type == "cgroup2";
    if (!v2 && !(type == "cgroup" && has_item(text::trim(tail), "memory"))) continue;
    std::string_view head = line.substr(0, dash);
    for (int skipped = 0; skipped < 3; ++skipped) text::next_word(head);
    CgroupMount mount{v2, unescape_octal(text::next_word(head)), {}};
    mount.mount_point = unescape_octal(text::next_word(head));
    if (!mount.mount_point.empty()) mounts.push_back(std::move(mount));
  }
  return mounts;
}

std::optional<std::uint64_t> parse_cgroup_limit(std::string_view input) {
  const auto value = text::number<std::uint64_t>(input);
  return value && *value < kNoLimit ? value : std::nullopt;
}

std::optional<std::uint64_t> parse_cgroup_key(std::string_view input, std::string_view key) {
  std::string_view line;
  while (text::next_line(input, line)) {
    if (text::next_word(line) == key) return text::number<std::uint64_t>(line);
  }
  return std::nullopt;
}

std::string container_id(std::string_view path) {
  constexpr std::size_t kDigits = 64;
  const auto is_hex = [](char c) {
    return std::isdigit(static_cast<unsigned char>(c)) != 0 || (c >= 'a' && c <= 'f');
  };
  std::string found;  // the innermost one: docker in docker names both
  for (std::size_t start = 0; start < path.size();) {
    if (!is_hex(path[start])) {
      ++start;
      continue;
    }
    std::size_t end = start;
    while (end < path.size() && is_hex(path[end])) ++end;
    if (end - start == kDigits) found = path.substr(start, kDigits);
    start = end;
  }
  return found;
}

Result<CgroupMemory> read_cgroup_memory(int version, const std::string& group,
                                        const std::string& mount_point, std::string directory) {
  const FileNames& names = version == 1 ? kV1 : kV2;
  CgroupMemory memory;
  memory.version = version;
  memory.group = group;
  const auto droppable = [&] {
    return read_key(directory, "memory.stat", version == 1 ? "total_inactive_file" : "inactive_file");
  };
  memory.usage_bytes = read_number(directory, names.usage);
  memory.droppable_bytes = droppable();
  memory.peak_bytes = read_number(directory, names.peak);
  memory.oom_kills = read_key(directory, names.events, "oom_kill");
  if (version == 2) memory.high_bytes = read_limit(directory, "memory.high");
  const bool has_files = memory.usage_bytes || memory.oom_kills;
  if (!has_files && directory != mount_point) {
    return make_error(Errc::kUnsupported, "no memory controller in " + directory);
  }
  if (version == 1) {
    // Says what groups above the mount point allow: a container sees only its own.
    memory.limit_bytes = read_key(directory, "memory.stat", "hierarchical_memory_limit");
    if (memory.limit_bytes >= kNoLimit) memory.limit_bytes.reset();
    memory.limit_group = memory.limit_bytes ? group : "";
  }
  std::string name = group;
  for (std::size_t depth = 0; depth < kMaxDepth; ++depth) {
    const auto limit = read_limit(directory, names.limit);
    const bool sets_it = limit && (!memory.limit_bytes || *limit < *memory.limit_bytes ||
                                   (version == 1 && *limit == *memory.limit_bytes));
    if (sets_it) {
      memory.limit_bytes = limit;
      memory.limit_group = name;
      memory.usage_bytes = read_number(directory, names.usage);
      memory.droppable_bytes = droppable();
    }
    if (directory.size() <= mount_point.size()) break;
    directory = parent_of(directory);
    name = parent_of(name);
  }
  return memory;
}

}  // namespace memspy::procfs
