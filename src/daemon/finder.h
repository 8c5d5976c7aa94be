// Finds the processes that rules are about: by the kernel's events where they can be had, else by
// scans of /proc; both lead to a look at the process a moment later.
//
// One thread, that of the event loop.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "daemon/candidate.h"
#include "daemon/config.h"
#include "daemon/event_loop.h"
#include "daemon/look_schedule.h"
#include "daemon/proc_events.h"
#include "procfs/proc_dir.h"

namespace memspy::daemon {

class Finder {
 public:
  // Both outlive this.
  Finder(const procfs::ProcDir& proc, EventLoop& loop) : proc_(proc), loop_(loop) {}
  ~Finder();
  Finder(const Finder&) = delete;
  Finder& operator=(const Finder&) = delete;

  // From here on by events, or (`events` false, or refused) by scans alone.
  void begin(bool events);
  void set_rules(const std::vector<Rule>& rules, SteadyTime now);
  struct Found {
    Candidate candidate;
    Rule rule;
  };
  // Of a process that no rule is about: the one of its family.
  using RuleOfFamily = std::function<std::optional<Rule>(const Candidate&)>;
  // Looks at what is due.
  std::vector<Found> look(SteadyTime now, const RuleOfFamily& rule_of_family);
  void settle(Pid pid) { schedule_.settle(pid); }
  void forget(Pid pid) { schedule_.forget(pid); }
  // When look() has something to do again.
  SteadyTime next() const;
  // "events", or "scan: " and why not.
  const std::string& how() const { return how_; }

 private:
  void on_events();
  const procfs::ProcDir& proc_;
  EventLoop& loop_;
  std::vector<Rule> rules_;
  LookSchedule schedule_;
  std::optional<ProcEvents> events_;
  SteadyTime next_scan_{};
  std::string how_;
};

}  // namespace memspy::daemon
