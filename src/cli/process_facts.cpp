#include "cli/process_facts.h"

#include <spdlog/fmt/fmt.h>

#include "base/byte_units.h"

namespace memspy::cli {

MemoryFacts read_memory_facts(const procfs::ProcDir& proc, Pid pid) {
  MemoryFacts facts;
  if (const auto status = proc.status(pid)) {
    facts.rss_bytes = status->vm_rss_bytes;
    facts.peak_rss_bytes = status->vm_hwm_bytes;
    facts.swap_bytes = status->vm_swap_bytes;
  }
  if (const auto rollup = proc.smaps_rollup(pid)) {
    facts.pss_bytes = rollup->pss_bytes;
    facts.uss_bytes = rollup->uss_bytes();
  }
  if (const auto cgroup = proc.cgroup_memory(pid)) {
    facts.cgroup_usage_bytes = cgroup->usage_bytes;
    facts.cgroup_limit_bytes = cgroup->limit_bytes;
  }
  return facts;
}

std::string memory_line(const MemoryFacts& facts) {
  std::string line;
  const auto add = [&](std::string_view label, const std::optional<std::uint64_t>& bytes) {
    if (bytes)
      line += fmt::format("{}{} {}", line.empty() ? "" : ", ", label, format_bytes(*bytes));
  };
  add("RSS", facts.rss_bytes);
  add("PSS", facts.pss_bytes);
  add("peak", facts.peak_rss_bytes);
  if (facts.swap_bytes.value_or(0) > 0) add("swap", facts.swap_bytes);
  if (facts.cgroup_limit_bytes.value_or(0) > 0 && facts.cgroup_usage_bytes) {
    add("cgroup", facts.cgroup_usage_bytes);
    line += fmt::format(" of {} ({:.0f} %)", format_bytes(*facts.cgroup_limit_bytes),
                        100.0 * static_cast<double>(*facts.cgroup_usage_bytes) /
                            static_cast<double>(*facts.cgroup_limit_bytes));
  }
  return line.empty() ? "not readable" : line;
}

Json memory_json(const MemoryFacts& facts) {
  Json json = Json::object();
  const auto add = [&](const char* key, const std::optional<std::uint64_t>& bytes) {
    json[key] = bytes ? Json(*bytes) : Json(nullptr);
  };
  add("rss_bytes", facts.rss_bytes);
  add("pss_bytes", facts.pss_bytes);
  add("uss_bytes", facts.uss_bytes);
  add("swap_bytes", facts.swap_bytes);
  add("peak_rss_bytes", facts.peak_rss_bytes);
  add("cgroup_usage_bytes", facts.cgroup_usage_bytes);
  add("cgroup_limit_bytes", facts.cgroup_limit_bytes);
  return json;
}

std::map<Tid, char> read_thread_states(const procfs::ProcDir& proc, Pid pid) {
  std::map<Tid, char> states;
  const auto threads = proc.threads(pid);
  if (!threads) return states;
  for (const Tid tid : *threads)
    if (const auto stat = proc.stat(pid, tid)) states[tid] = stat->state;
  return states;
}

std::string printable(std::string_view text) {
  std::string out(text);
  for (char& c : out)
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = '?';
  return out;
}

std::string one_line_command(const std::vector<std::string>& command_line,
                             const std::string& comm) {
  std::string line;
  for (const std::string& word : command_line) line += (line.empty() ? "" : " ") + word;
  return line.empty() ? "[" + printable(comm) + "]" : printable(line);
}

}  // namespace memspy::cli
