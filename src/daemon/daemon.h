// The daemon: finds targets, looks at them, has those that grow traced, keeps the recordings, and
// answers. docs/architecture.md has its threads, docs/design/0006-daemon.md the reasons.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "daemon/config.h"
#include "daemon/notify_manager.h"
#include "memspy/result.h"
#include "procfs/proc_dir.h"
#include "sinks/sink_registry.h"

namespace memspy::daemon {

struct DaemonPorts {
  procfs::ProcDir proc;
  std::vector<std::string> program;  // memspy, without a verb; `daemon --tracer` is run_tracer()
  std::string version;               // memspy's
  sinks::FindWords words;            // of a target's page; any thread
  NotifyManager manager{nullptr, nullptr, nullptr};
  std::function<void(const std::string&)> log;  // a line for a person; from any thread
};

class Daemon {
 public:
  // Takes the places of the configuration: folders, socket. From here on SIGTERM, SIGINT and SIGHUP
  // are the daemon's: call it before there are other threads.
  static Result<std::unique_ptr<Daemon>> start(Config config, DaemonPorts ports);
  virtual ~Daemon() = default;
  // Blocks until it is told to stop; then lets go of every target.
  virtual Result<Unit> run() = 0;
};

}  // namespace memspy::daemon
