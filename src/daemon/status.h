// What the daemon tells of itself and its targets. Made anew at each tick and handed out whole, so
// that whoever answers a question never waits for the daemon, nor the daemon for them.
//
// Values; any thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "daemon/json.h"
#include "daemon/tracer_protocol.h"
#include "memspy/process.h"
#include "memspy/series.h"

namespace memspy::daemon {

// Of a target, for as long as it is watched.
struct TargetFacts {
  ProcessIdentity identity;
  std::string service;  // the rule's name
  std::string process;  // comm
  std::string command;  // may hold secrets: for the control socket, never for HTTP
  std::string user;
  std::string container;
  std::string version;  // of Python; "" unknown
};

struct TargetStatus {
  std::shared_ptr<const TargetFacts> facts;
  Pid master;  // of its tree: itself, or the process of the same service above it
  SeriesPoint figures;
  std::optional<double> growth_per_minute;  // bytes
  // Of the control group that has the limit, without the file cache that it would drop.
  std::optional<double> group_bytes, group_growth_per_minute;
  // "idle", "waiting" (for its turn), "starting", "tracing", "ending", "failed"
  std::string tracer;
  std::string engine;  // of the tracer; "" when there is none
  std::string reason;  // why this engine, or why there is none
  bool asked = false;  // somebody asked for it to be traced
  TracerNews traced;   // sums over all tracers of this target
  double tracer_cpu_seconds = 0;
  std::uint64_t recorded_bytes = 0;
  std::vector<std::string> alerts_firing;  // names
};

// Of profiles that are sent on.
struct PushFigures {
  std::uint64_t profiles = 0;         // taken by the endpoint
  std::uint64_t refused = 0;          // by it, for good
  std::chrono::nanoseconds behind{};  // of the last window: how late it was, or is
  std::string trouble;                // why nothing is taken at the moment; "" it is
};

struct DaemonStatus {
  SteadyTime published{};
  Pid pid;
  std::string version;
  std::string config_path;
  std::string config_error;                 // of the last reload; "" when it went well
  std::vector<std::string> restart_needed;  // keys that have changed, and wait for one
  std::chrono::nanoseconds uptime{};
  std::chrono::nanoseconds interval{};  // as it is now
  std::string thrift;                   // what the budget has lowered, and why; "" nothing
  std::string discovery;                // "events", or "scan: WHY NO EVENTS"
  std::vector<TargetStatus> targets;
  unsigned tracers = 0;
  double own_cpu_seconds = 0;                                    // the daemon alone
  double tracers_cpu_seconds = 0;                                // all tracers so far
  std::uint64_t own_memory_bytes = 0, tracers_memory_bytes = 0;  // PSS
  std::uint64_t recorded_bytes = 0, lost_ticks = 0, removed_files = 0;
  std::uint64_t evidence_bytes = 0;  // besides
  std::string recorder_trouble;      // "" none
  unsigned tracer_crashes = 0;
  std::size_t alerts_firing = 0;
  std::size_t deliveries_waiting = 0;     // of alerts: hooks and POSTs
  std::uint64_t deliveries_given_up = 0;  // …that nobody was told by, since the daemon started
  std::optional<PushFigures> push;        // absent: nothing is to be pushed
};

Json status_json(const DaemonStatus& status);                       // memspy.daemon/1
Json targets_json(const DaemonStatus& status, bool with_commands);  // memspy.targets/1

// The latest, for many readers.
class StatusBoard {
 public:
  void publish(std::shared_ptr<const DaemonStatus> status) {
    std::atomic_store(&latest_, std::move(status));
  }
  // Never null.
  std::shared_ptr<const DaemonStatus> latest() const { return std::atomic_load(&latest_); }

 private:
  std::shared_ptr<const DaemonStatus> latest_ = std::make_shared<DaemonStatus>();
};

}  // namespace memspy::daemon
