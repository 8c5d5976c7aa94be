#include "procfs/proc_dir.h"

#include <dirent.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <memory>

#include <spdlog/fmt/fmt.h>

#include "base/file.h"
#include "procfs/cgroup_view.h"
#include "procfs/text.h"

namespace memspy::procfs {
namespace {

constexpr std::size_t kSmallCap = 1U << 20;

struct CloseDir {
  void operator()(DIR* dir) const { ::closedir(dir); }
};

bool is_missing(int err) { return err == ENOENT || err == ESRCH; }

bool is_directory(const std::string& path) {
  struct stat info {};
  return ::stat(path.c_str(), &info) == 0 && S_ISDIR(info.st_mode);
}

Error open_error(const std::string& path, int err) {
  const bool denied = err == EACCES || err == EPERM;
  return make_error(denied ? Errc::kPermission : Errc::kUnreadable, "cannot open " + path, err);
}

// Calls `take` with each entry's name, "." and ".." aside.
template <typename F>
Result<Unit> for_each_entry(const std::string& path, F take) {
  const std::unique_ptr<DIR, CloseDir> dir(::opendir(path.c_str()));
  if (!dir) return open_error(path, errno);
  while (const dirent* entry = ::readdir(dir.get())) {  // NOLINT(concurrency-mt-unsafe): own DIR
    const std::string_view name = entry->d_name;
    if (name != "." && name != "..") take(name);
  }
  return Unit{};
}

// The entries that are numbers, ascending, as T.
template <typename T>
Result<std::vector<T>> numeric_entries(const std::string& path) {
  std::vector<T> found;
  MEMSPY_CHECK(for_each_entry(path, [&](std::string_view name) {
    const auto id = text::number<pid_t>(name);
    if (id && *id > 0) found.push_back(T{*id});
  }));
  std::sort(found.begin(), found.end());
  return found;
}

Result<std::string> read_link(const std::string& path) {
  std::array<char, PATH_MAX> buffer;
  const ssize_t length = ::readlink(path.c_str(), buffer.data(), buffer.size());
  if (length < 0) return open_error(path, errno);
  return std::string(buffer.data(), static_cast<std::size_t>(length));
}

// The part of a group's path below what a mount shows, "" for the mount point itself.
std::optional<std::string> path_below_mount(const std::string& group, const std::string& root) {
  if (group.starts_with("/..")) return std::nullopt;  // outside of this namespace
  const std::string prefix = root == "/" ? "" : root;
  if (!group.starts_with(prefix)) return std::nullopt;
  std::string below = group.substr(prefix.size());
  if (!below.empty() && below.front() != '/') return std::nullopt;
  if (below == "/") below.clear();
  return below;
}

// In the groups that this mountinfo shows; `prefix` stands before its mount points.
Result<CgroupMemory> cgroup_memory_in(std::string_view cgroup_text, const std::string& mountinfo,
                                      const std::string& prefix) {
  const CgroupPaths paths = parse_cgroup_paths(cgroup_text);
  for (const auto& mount : parse_cgroup_mounts(mountinfo)) {
    const auto& group = mount.v2 ? paths.v2 : paths.v1_memory;
    const auto below = group ? path_below_mount(*group, mount.root) : std::nullopt;
    if (!below || (mount.v2 && paths.v1_memory)) continue;
    const std::string point = prefix + mount.mount_point;
    auto memory = read_cgroup_memory(mount.v2 ? 2 : 1, *group, point, point + *below);
    if (memory) return memory;
  }
  return make_error(Errc::kUnsupported, "no memory control group can be seen");
}

// Parses what was read; the parser's error names the file it was about.
template <typename T>
Result<T> parsed(Result<T> result, const std::string& path) {
  return std::move(result).context("reading " + path);
}

}  // namespace

std::string ProcDir::path(Pid pid, std::string_view entry) const {
  return fmt::format("{}/{}{}{}", root_, pid.value, entry.empty() ? "" : "/", entry);
}

std::string ProcDir::path(Pid pid, Tid tid, std::string_view entry) const {
  return fmt::format("{}/{}/task/{}{}{}", root_, pid.value, tid.value, entry.empty() ? "" : "/",
                     entry);
}

bool ProcDir::exists(Pid pid) const { return pid.value > 0 && is_directory(path(pid, "")); }

// A missing file is a process that is gone, unless its folder is still there: then this kernel has
// no such file, or the process no such thing (a kernel thread has no executable).
Error ProcDir::explain(Error error, Pid pid) const {
  if (!is_missing(error.sys)) return error;
  if (exists(pid) && error.sys == ENOENT) {
    error.code = Errc::kUnsupported;
    return error;
  }
  return make_error(Errc::kNoSuchProcess, fmt::format("no process {}", pid.value), error.sys);
}

Error ProcDir::explain(Error error, Pid pid, Tid tid) const {
  if (!is_missing(error.sys)) return error;
  if (is_directory(path(pid, tid, "")) && error.sys == ENOENT) {
    error.code = Errc::kUnsupported;
    return error;
  }
  const auto message = fmt::format("no thread {} in process {}", tid.value, pid.value);
  return make_error(Errc::kNoSuchProcess, message, error.sys);
}

Result<std::string> ProcDir::text(Pid pid, std::string_view entry) const {
  auto content = read_file(path(pid, entry));
  if (!content) return explain(std::move(content).error(), pid);
  return content;
}

Result<Stat> ProcDir::stat(Pid pid) const {
  MEMSPY_TRY(content, text(pid, "stat"));
  return parsed(parse_stat(content), path(pid, "stat"));
}

Result<Stat> ProcDir::stat(Pid pid, Tid tid) const {
  auto content = read_file(path(pid, tid, "stat"), kSmallCap);
  if (!content) return explain(std::move(content).error(), pid, tid);
  return parsed(parse_stat(*content), path(pid, tid, "stat"));
}

Result<Status> ProcDir::status(Pid pid) const {
  MEMSPY_TRY(content, text(pid, "status"));
  return parsed(parse_status(content), path(pid, "status"));
}

Result<Status> ProcDir::status(Pid pid, Tid tid) const {
  auto content = read_file(path(pid, tid, "status"), kSmallCap);
  if (!content) return explain(std::move(content).error(), pid, tid);
  return parsed(parse_status(*content), path(pid, tid, "status"));
}

Result<Statm> ProcDir::statm(Pid pid) const {
  MEMSPY_TRY(content, text(pid, "statm"));
  return parsed(parse_statm(content), path(pid, "statm"));
}

Result<MemoryMap> ProcDir::maps(Pid pid) const {
  MEMSPY_TRY(content, text(pid, "maps"));
  return parsed(parse_maps(content), path(pid, "maps"));
}

Result<SmapsRollup> ProcDir::smaps_rollup(Pid pid) const {
  MEMSPY_TRY(content, text(pid, "smaps_rollup"));
  return parsed(parse_smaps_rollup(content), path(pid, "smaps_rollup"));
}

Result<std::vector<std::string>> ProcDir::command_line(Pid pid) const {
  MEMSPY_TRY(content, text(pid, "cmdline"));
  return parse_cmdline(content);
}

Result<std::string> ProcDir::comm(Pid pid, Tid tid) const {
  auto content = read_file(path(pid, tid, "comm"), kSmallCap);
  if (!content) return explain(std::move(content).error(), pid, tid);
  if (content->ends_with('\n')) content->pop_back();
  return content;
}

Result<std::string> ProcDir::link(Pid pid, std::string_view entry) const {
  auto target = read_link(path(pid, entry));
  if (!target) return explain(std::move(target).error(), pid);
  return target;
}

Result<std::string> ProcDir::executable(Pid pid) const { return link(pid, "exe"); }

Result<std::string> ProcDir::syscall(Pid pid, Tid tid) const {
  auto content = read_file(path(pid, tid, "syscall"), kSmallCap);
  if (!content) return explain(std::move(content).error(), pid, tid);
  return std::string(text::trim(*content));
}

Result<std::vector<Tid>> ProcDir::threads(Pid pid) const {
  auto found = numeric_entries<Tid>(path(pid, "task"));
  if (!found) return explain(std::move(found).error(), pid);
  return found;
}

// /proc/PID/task/TID/children needs CONFIG_PROC_CHILDREN; without it, every process is asked who
// its parent is.
Result<std::vector<Pid>> ProcDir::children(Pid pid) const {
  MEMSPY_TRY(tids, threads(pid));
  std::vector<Pid> found;
  bool supported = false;
  for (const Tid tid : tids) {
    const auto content = read_file(path(pid, tid, "children"), kSmallCap);
    if (!content) continue;
    supported = true;
    std::string_view rest = *content;
    for (auto word = text::next_word(rest); !word.empty(); word = text::next_word(rest)) {
      if (const auto child = text::number<pid_t>(word)) found.push_back(Pid{*child});
    }
  }
  if (!supported) {
    for (const Pid other : processes()) {
      const auto other_stat = stat(other);
      if (other_stat && other_stat->ppid == pid) found.push_back(other);
    }
  }
  std::sort(found.begin(), found.end());
  return found;
}

Result<std::uint64_t> ProcDir::open_files(Pid pid) const {
  std::uint64_t count = 0;
  auto listed = for_each_entry(path(pid, "fd"), [&](std::string_view) { ++count; });
  if (!listed) return explain(std::move(listed).error(), pid);
  return count;
}

std::vector<Pid> ProcDir::processes() const {
  auto found = numeric_entries<Pid>(root_);
  return found ? std::move(found).value() : std::vector<Pid>{};
}

Result<ProcessIdentity> ProcDir::identity(Pid pid) const {
  MEMSPY_TRY(now, stat(pid));
  return ProcessIdentity{pid, now.start_ticks};
}

bool ProcDir::exists(const ProcessIdentity& process) const {
  const auto now = identity(process.pid);
  return now.has_value() && *now == process;
}

std::optional<std::string> ProcDir::setting(std::string_view entry) const {
  const auto content = read_file(fmt::format("{}/{}", root_, entry), kSmallCap);
  if (!content) return std::nullopt;
  return std::string(text::trim(*content));
}

std::optional<std::string> ProcDir::host_file(std::string_view absolute_path) const {
  const auto content = read_file(host_root_ + std::string(absolute_path), kSmallCap);
  if (!content) return std::nullopt;
  return std::string(text::trim(*content));
}

Result<std::string> ProcDir::cgroup_path(Pid pid) const {
  MEMSPY_TRY(content, text(pid, "cgroup"));
  auto paths = parse_cgroup_paths(content);
  return paths.longest.empty() ? std::string("/") : std::move(paths.longest);
}

Result<CgroupMemory> ProcDir::cgroup_memory(Pid pid) const {
  MEMSPY_TRY(content, text(pid, "cgroup"));
  // First as memspy sees the groups; a target outside of memspy's cgroup namespace or mounts is
  // asked through its own root.
  if (auto memory = cgroup_memory_of(*this, content)) return memory;
  if (const auto mountinfo = read_file(path(pid, "mountinfo"))) {
    if (auto memory = cgroup_memory_in(content, *mountinfo, path(pid, "root"))) return memory;
  }
  return make_error(Errc::kUnsupported,
                    fmt::format("no memory control group of process {} can be seen", pid.value));
}

Result<CgroupMemory> cgroup_memory_of(const ProcDir& proc, std::string_view cgroup_text) {
  MEMSPY_TRY(mountinfo, read_file(proc.root() + "/self/mountinfo"));
  return cgroup_memory_in(cgroup_text, mountinfo, proc.host_root());
}

}  // namespace memspy::procfs
