// The memory side of control groups, v1 and v2: pure parsers of the small files, and the reader
// that walks from a process' group up to the root to find the limit that binds it.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "memspy/result.h"

namespace memspy::procfs {

// /proc/PID/cgroup. A path is relative to the root of the *reader's* cgroup namespace: it begins
// with
// "/.." for a process outside of it.
struct CgroupPaths {
  std::optional<std::string> v2;         // "0::/path"
  std::optional<std::string> v1_memory;  // the hierarchy with the memory controller
  std::string longest;                   // the most specific path of all lines: names the container
};
CgroupPaths parse_cgroup_paths(std::string_view text);

// One cgroup file system of /proc/PID/mountinfo that can hold memory files.
struct CgroupMount {
  bool v2 = false;
  std::string root;         // which group is seen at the mount point
  std::string mount_point;  // octal escapes undone
};
std::vector<CgroupMount> parse_cgroup_mounts(std::string_view mountinfo);

// "max" and the "none" of v1 (a number near 2^63) are an absent limit; anything else that is not a
// number too.
std::optional<std::uint64_t> parse_cgroup_limit(std::string_view text);
// The number behind `key` in a file of "key number" lines (memory.events, memory.oom_control…).
std::optional<std::uint64_t> parse_cgroup_key(std::string_view text, std::string_view key);

// The container's id within a cgroup path, or "": the 64 hexadecimal digits that Docker,
// containerd, CRI-O and Podman put into the name of the group, with whatever prefix and suffix.
std::string container_id(std::string_view cgroup_path);

struct CgroupMemory {
  int version = 0;                               // 1 or 2
  std::string group;                             // of the process, as /proc/PID/cgroup names it
  std::optional<std::uint64_t> usage_bytes;      // of the group that has the limit, else of `group`
  std::optional<std::uint64_t> droppable_bytes;  // of usage_bytes: file cache that nobody uses now
  std::optional<std::uint64_t> limit_bytes;      // the smallest of the group and those around it
  std::string limit_group;                       // the group that sets it
  std::optional<std::uint64_t> high_bytes;  // v2 memory.high of `group`: throttled from here on
  std::optional<std::uint64_t> peak_bytes;  // of `group`
  std::optional<std::uint64_t> oom_kills;   // of `group` (v2: and those within it), ever

  // Usage without the file cache that makes room by itself; nullopt: not known.
  std::optional<std::uint64_t> working_set_bytes() const {
    if (!usage_bytes) return std::nullopt;
    return *usage_bytes - std::min(droppable_bytes.value_or(0), *usage_bytes);
  }
};

// `directory` is the group's folder, `mount_point` the folder to stop at (inclusive); `group` as
// above. A group without readable memory files gives kUnsupported.
Result<CgroupMemory> read_cgroup_memory(int version, const std::string& group,
                                        const std::string& mount_point, std::string directory);

}  // namespace memspy::procfs
