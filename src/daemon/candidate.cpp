#include "daemon/candidate.h"

#include <fnmatch.h>

#include "procfs/processes.h"

namespace memspy::daemon {
namespace {

constexpr std::size_t kLongestCommand = 4096;  // bytes of it that are looked at and kept

// fnmatch(3) goes back at each star: what it looks at has a bounded length.
bool fits_pattern(const std::string& pattern, const std::string& text) {
  return pattern.empty() || ::fnmatch(pattern.c_str(), text.c_str(), 0) == 0;
}

std::string joined(const std::vector<std::string>& arguments) {
  std::string line;
  for (const std::string& argument : arguments) {
    if (!line.empty()) line += ' ';
    line += argument;
    if (line.size() > kLongestCommand) break;
  }
  if (line.size() > kLongestCommand) line.resize(kLongestCommand);
  return line;
}

}  // namespace

std::optional<Candidate> read_candidate(const procfs::ProcDir& proc, const procfs::UserNames& users,
                                        Pid pid) {
  const auto python = procfs::find_python_process(proc, users, pid);
  if (!python) return std::nullopt;
  Candidate candidate;
  candidate.identity = python->identity;
  candidate.ppid = python->ppid;
  candidate.uid = python->uid;
  candidate.user = python->user;
  candidate.process = python->name;
  candidate.command = joined(python->command_line);
  candidate.executable = python->executable;
  candidate.cgroup = proc.cgroup_path(pid).value_or("");
  candidate.container = python->container;
  candidate.version = python->version;
  return candidate;
}

bool fits(const Rule& rule, const Candidate& candidate) {
  const bool user = fits_pattern(rule.user, candidate.user) ||
                    (!rule.user.empty() && rule.user == std::to_string(candidate.uid));
  return user && fits_pattern(rule.process, candidate.process) &&
         fits_pattern(rule.command, candidate.command) &&
         fits_pattern(rule.executable, candidate.executable) &&
         fits_pattern(rule.cgroup, candidate.cgroup) &&
         (rule.container.empty() || candidate.container.starts_with(rule.container) ||
          (!candidate.container.empty() && fits_pattern(rule.container, candidate.container)));
}

std::optional<std::size_t> find_rule(const std::vector<Rule>& rules, const Candidate& candidate) {
  for (std::size_t i = 0; i < rules.size(); ++i)
    if (fits(rules[i], candidate)) return i;
  return std::nullopt;
}

}  // namespace memspy::daemon
