// When to look at which process of the host: soon after its birth or exec, as events tell or a scan
// of /proc finds out, and again ever more seldom, for what has executed another program unnoticed.
//
// Pure: time is a parameter. One thread.
#pragma once

#include <chrono>
#include <map>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "memspy/address.h"

namespace memspy::daemon {

class LookSchedule {
 public:
  // A process was born, or executes something. Looked at after a moment, in which a fork execs.
  void expect(Pid pid, SteadyTime now);
  // It ended.
  void forget(Pid pid);
  // It is watched: no more looks until it is forgotten.
  void settle(Pid pid);
  // Every process there is: new ones are expected, others forgotten.
  void scan(const std::vector<Pid>& pids, SteadyTime now);
  // Every process is looked at again, once: the rules have changed.
  void look_again(SteadyTime now);
  // Those to look at now, at most so many; each comes again later unless it is settled or
  // forgotten.
  std::vector<Pid> due(SteadyTime now, std::size_t most);
  // When there is something to do next; nullopt: nothing is waiting.
  std::optional<SteadyTime> next() const;
  std::size_t size() const { return entries_.size(); }

 private:
  struct Entry {
    SteadyTime at{};
    std::chrono::nanoseconds pause{};
    bool settled = false;
  };
  void plan(Pid pid, Entry& entry, SteadyTime at);
  std::map<Pid, Entry> entries_;
  std::set<std::pair<SteadyTime, Pid>> queue_;
};

}  // namespace memspy::daemon
