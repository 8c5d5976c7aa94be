// Threads that a stop has left alone, because an interrupt would end their system call: did one of
// them run all the same? Their scheduling counters say so.
#pragma once

#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "memspy/address.h"
#include "procfs/proc_dir.h"

namespace memspy::attach {

class LeftAlone {
 public:
  LeftAlone(const procfs::ProcDir& proc, Pid pid) : proc_(proc), pid_(pid) {}

  void begin(const std::vector<Tid>& tids);
  // Of those, how many have run since begin() or are running; a thread that has ended has run.
  std::uint32_t moved() const;
  bool empty() const { return before_.empty(); }

 private:
  // The scheduler's own text about the thread, up to what changes when it runs.
  std::optional<std::string> counters(Tid tid) const;

  const procfs::ProcDir& proc_;
  Pid pid_;
  std::unordered_map<Tid, std::optional<std::string>> before_;
};

}  // namespace memspy::attach
