// The targets: found, looked at in every tick, traced while they grow, let go when they end.
//
// One thread, that of the event loop.
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/unique_fd.h"
#include "daemon/config.h"
#include "daemon/event_loop.h"
#include "daemon/finder.h"
#include "daemon/growth_gate.h"
#include "daemon/recorder.h"
#include "daemon/shelf.h"
#include "daemon/status.h"
#include "daemon/target_figures.h"
#include "daemon/tracer_slot.h"

namespace memspy::daemon {

// What the OOM killer has done, ever: in a control group, and on the whole host.
struct OomCount {
  std::optional<std::uint64_t> in_group;
  std::string group;
  std::optional<std::uint64_t> on_host;
};

struct Watched {
  std::shared_ptr<const TargetFacts> facts;
  Candidate candidate;
  Rule rule;
  Pid master;
  UniqueFd pidfd;
  std::unique_ptr<TargetFigures> figures;  // does not move
  GrowthGate gate;
  TracerSlot slot;
  ProcessIndex recorded_as;
  std::optional<SteadyTime> asked_until;
  bool alerted = false;      // an alert wants it traced
  bool held = false;         // somebody else looks at it: no tracer meanwhile
  std::string cgroups = {};  // the text of /proc/PID/cgroup
  OomCount oom_count = {};   // as of a while ago
  SteadyTime next_oom_look{};
  bool gone = false;      // it has ended, or is let go; its tracer may be about to
  bool released = false;  // it has not ended: the rules are about it no more
};

// A target that has ended.
struct GoneTarget {
  std::shared_ptr<const TargetFacts> facts;
  std::uint64_t oom_kills = 0;  // in its last while
  std::string group;            // of which that is; "": of the host
};

class Watchlist {
 public:
  using Log = std::function<void(const std::string&)>;
  // References outlive this. `program`: the command that runs a tracer.
  Watchlist(const procfs::ProcDir& proc, EventLoop& loop, const Shelf& shelf,
            std::vector<std::string> program, Log log)
      : proc_(proc),
        loop_(loop),
        shelf_(shelf),
        program_(std::move(program)),
        log_(std::move(log)) {}
  ~Watchlist();
  Watchlist(const Watchlist&) = delete;
  Watchlist& operator=(const Watchlist&) = delete;

  // Lets go of those that no rule is about any more, or one of another service: who they are.
  std::vector<std::shared_ptr<const TargetFacts>> set_config(const Config& config);
  // The first rule about it, else that of the watched process that forked it: workers may call
  // themselves anything.
  std::optional<Rule> rule_for(const Candidate& candidate) const;
  // Watches it; nullptr when it has ended meanwhile. The same process twice is the same target.
  Watched* add(const Finder::Found& found, SteadyTime now);
  Watched* find(Pid pid);
  const Watched* find(Pid pid) const;
  Watched* find(const ProcessIdentity& identity);
  const std::map<Pid, Watched>& all() const { return targets_; }
  std::map<Pid, Watched>& all() { return targets_; }

  // One look at each; what is to be recorded. `time`: since the recorder's start.
  SeriesTick tick(SteadyTime now, std::chrono::nanoseconds time);
  // Starts and ends tracers; at most so many at a time.
  void trace(SteadyTime now, unsigned most);
  void end_tracers(SteadyTime now);
  bool any_tracer() const;
  void describe(DaemonStatus& status, const RecorderFigures& recorded) const;
  // Those that have left since the last call.
  std::vector<GoneTarget> take_gone() { return std::exchange(left_, {}); }

 private:
  Result<UniqueFd> open_identity(const ProcessIdentity& identity) const;
  void join_tree(Watched& target);
  void on_end(Pid pid);
  void let_go(Watched& target);
  OomCount count_oom_kills(const Watched& target) const;
  bool wanted(const Watched& target, SteadyTime now) const;
  void start_tracers(SteadyTime now, unsigned room);
  TracerOrder order_for(const Watched& target, const std::string& folder) const;

  const procfs::ProcDir& proc_;
  EventLoop& loop_;
  const Shelf& shelf_;
  std::vector<std::string> program_;
  Log log_;
  Config config_;
  std::map<Pid, Watched> targets_;
  std::vector<ProcessRecord> fresh_;
  std::vector<ProcessIndex> forgotten_;
  std::vector<GoneTarget> left_;
  std::uint32_t next_index_ = 0;
  double cpu_of_gone_ = 0;
  unsigned crashes_ = 0;
};

}  // namespace memspy::daemon
