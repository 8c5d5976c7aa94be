// A process of the host held against the rules.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "daemon/config.h"
#include "memspy/process.h"
#include "procfs/proc_dir.h"
#include "procfs/users.h"

namespace memspy::daemon {

// What rules ask about. Text is the target's own and may be any bytes.
struct Candidate {
  ProcessIdentity identity;
  Pid ppid;
  std::uint32_t uid = 0;
  std::string user;     // "" when /etc/passwd does not name it
  std::string process;  // comm
  std::string command;  // arguments with blanks between them
  std::string executable;
  std::string cgroup;
  std::string container;  // 64 digits, "" outside of containers
  std::string version;    // of Python, by the names of files; "" unknown
};

// nullopt: gone, or no Python process that could be seen (procfs/processes.h says when one is).
std::optional<Candidate> read_candidate(const procfs::ProcDir& proc, const procfs::UserNames& users,
                                        Pid pid);

bool fits(const Rule& rule, const Candidate& candidate);
// The first rule that fits, by its place among them.
std::optional<std::size_t> find_rule(const std::vector<Rule>& rules, const Candidate& candidate);

}  // namespace memspy::daemon
