// What /proc says of a process without any privilege over it: for headers, dumps and lists.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "cli/json_text.h"
#include "memspy/address.h"
#include "procfs/proc_dir.h"

namespace memspy::cli {

struct MemoryFacts {
  std::optional<std::uint64_t> rss_bytes, pss_bytes, uss_bytes, swap_bytes, peak_rss_bytes;
  std::optional<std::uint64_t> cgroup_usage_bytes, cgroup_limit_bytes;
};

// Absent figures are those that could not be read.
MemoryFacts read_memory_facts(const procfs::ProcDir& proc, Pid pid);

// "RSS 418 MiB, PSS 402 MiB, peak 512 MiB, cgroup 420 MiB of 1.0 GiB (41 %)"
std::string memory_line(const MemoryFacts& facts);
Json memory_json(const MemoryFacts& facts);

// The kernel's state letter of each thread: R runs, S sleeps, D waits for a device, T is stopped.
std::map<Tid, char> read_thread_states(const procfs::ProcDir& proc, Pid pid);

// The command line as one line for people; the comm in brackets when there is none. Control
// characters are shown as '?', so that a process cannot write to the terminal of who looks at it.
std::string one_line_command(const std::vector<std::string>& command_line, const std::string& comm);
std::string printable(std::string_view text);

}  // namespace memspy::cli
