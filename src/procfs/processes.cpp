#include "procfs/processes.h"

#include <algorithm>
#include <optional>
#include <unordered_map>

#include <spdlog/fmt/fmt.h>

#include "base/file.h"
#include "base/path.h"
#include "procfs/pagemap.h"
#include "procfs/text.h"
#include "procfs/users.h"

namespace memspy::procfs {
namespace {

// The smallest interpreter that has started up is larger: below this, maps are not worth reading.
constexpr std::uint64_t kSmallestInterpreter = 4U << 20;
constexpr std::size_t kMapsCap = 4U << 20;

std::string_view program_name(std::string_view path) {
  if (path.ends_with(text::kDeleted)) path.remove_suffix(text::kDeleted.size());
  return base_name(path);
}

bool is_digit(char c) { return c >= '0' && c <= '9'; }

// "3.11" at the front of `text`.
std::string dotted_version(std::string_view text) {
  unsigned major = 0;
  unsigned minor = 0;
  if (!text::take_number(text, major) || !text::take_char(text, '.') ||
      !text::take_number(text, minor) || major < 2 || major > 9 || minor > 99) {
    return "";
  }
  return fmt::format("{}.{}", major, minor);
}

// "311" of "cpython-311-x86_64": one digit of major version, the rest is the minor.
std::string tag_version(std::string_view text) {
  unsigned tag = 0;
  if (text.empty() || text.front() != '3' || !text::take_number(text, tag) || tag < 30 ||
      tag > 3999) {
    return "";
  }
  const std::string digits = fmt::format("{}", tag);
  return digits.substr(0, 1) + "." + digits.substr(1);
}

// Looks at one process, cheapest question first.
class Candidate {
 public:
  Candidate(const ProcDir& proc, Pid pid) : proc_(proc), pid_(pid) {}

  bool is_python() {
    const auto stat = proc_.stat(pid_);
    if (!stat || stat->kernel_thread() || stat->zombie()) return false;
    stat_ = *stat;
    executable_ = proc_.executable(pid_).value_or("");
    if (is_python_name(program_name(executable_))) return true;
    command_line_ = proc_.command_line(pid_).value_or({});
    const bool called_python =
        !command_line_->empty() && is_python_name(program_name(command_line_->front()));
    // argv[0] is only the process' own word: believed where nothing better can be read.
    if (executable_.empty() && called_python) return true;
    if (executable_.empty() || stat_.rss_pages * page_size() < kSmallestInterpreter) return false;
    return maps().find("/libpython") != std::string::npos;
  }

  PythonProcess describe(const UserNames& users) {
    PythonProcess p;
    p.identity = {pid_, stat_.start_ticks};
    p.ppid = stat_.ppid;
    p.name = stat_.comm;
    p.rss_bytes = stat_.rss_pages * page_size();
    p.executable = executable_;
    p.readable = !executable_.empty();
    p.command_line = command_line_ ? *command_line_ : proc_.command_line(pid_).value_or({});
    if (const auto status = proc_.status(pid_)) p.uid = status->uid.effective;
    p.user = users.find(p.uid);
    p.container = container_id(proc_.cgroup_path(pid_).value_or(""));
    p.version = python_version_in(program_name(executable_));
    if (p.version.empty() && !p.command_line.empty()) {
      p.version = python_version_in(program_name(p.command_line.front()));
    }
    if (p.version.empty() && p.readable) p.version = python_version_in(maps());
    return p;
  }

 private:
  const std::string& maps() {
    if (!maps_) maps_ = read_file(proc_.path(pid_, "maps"), kMapsCap).value_or("");
    return *maps_;
  }

  const ProcDir& proc_;
  Pid pid_;
  Stat stat_;
  std::string executable_;
  std::optional<std::vector<std::string>> command_line_;
  std::optional<std::string> maps_;
};

std::vector<PythonProcess> pythons_among(const ProcDir& proc, const std::vector<Pid>& pids) {
  std::vector<PythonProcess> found;
  if (pids.empty()) return found;
  const UserNames users(proc);
  for (const Pid pid : pids) {
    Candidate candidate(proc, pid);
    if (candidate.is_python()) found.push_back(candidate.describe(users));
  }
  return found;
}

}  // namespace

bool is_python_name(std::string_view name) {
  constexpr std::string_view kPython = "python";
  if (!name.starts_with(kPython)) return false;
  name.remove_prefix(kPython.size());
  while (!name.empty() && (is_digit(name.front()) || name.front() == '.')) name.remove_prefix(1);
  // Suffixes of builds: d(ebug), m(alloc), u(nicode), t(hreads without a GIL).
  while (!name.empty() && std::string_view("dmut").find(name.front()) != std::string_view::npos) {
    name.remove_prefix(1);
  }
  return name.empty() || name == "-dbg" || name == "-debug";
}

std::string python_version_in(std::string_view input) {
  for (const std::string_view marker : {"libpython", "python", "cpython-"}) {
    for (auto at = input.find(marker); at != std::string_view::npos;
         at = input.find(marker, at + 1)) {
      const auto rest = input.substr(at + marker.size());
      auto version = marker == "cpython-" ? tag_version(rest) : dotted_version(rest);
      if (!version.empty()) return version;
    }
  }
  return "";
}

std::vector<PythonProcess> find_python_processes(const ProcDir& proc) {
  return pythons_among(proc, proc.processes());
}

std::optional<PythonProcess> find_python_process(const ProcDir& proc, const UserNames& users,
                                                 Pid pid) {
  Candidate candidate(proc, pid);
  if (!candidate.is_python()) return std::nullopt;
  return candidate.describe(users);
}

std::vector<PythonProcess> python_descendants(const ProcDir& proc, Pid pid) {
  auto family = descendants(proc, pid);
  std::sort(family.begin(), family.end());
  return pythons_among(proc, family);
}

std::vector<Pid> descendants(const ProcDir& proc, Pid root) {
  std::unordered_map<Pid, std::vector<Pid>> children;
  for (const Pid pid : proc.processes()) {
    if (const auto stat = proc.stat(pid)) children[stat->ppid].push_back(pid);
  }
  std::vector<Pid> found = {root};
  for (std::size_t i = 0; i < found.size(); ++i) {
    const auto it = children.find(found[i]);
    if (it == children.end()) continue;
    const auto born = std::move(it->second);
    // Pids are read one after another and may be reused meanwhile: each is taken once, so that a
    // family that seems to be a circle ends.
    children.erase(it);
    for (const Pid pid : born) {
      if (std::find(found.begin(), found.end(), pid) == found.end()) found.push_back(pid);
    }
  }
  found.erase(found.begin());
  return found;
}

}  // namespace memspy::procfs
