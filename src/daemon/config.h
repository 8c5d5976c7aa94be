// memspy.toml: what the daemon watches, what it keeps, and what it may cost. docs/daemon.md has the
// commented example; this table of defaults is the one the example shows.
//
// Values only; any thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "memspy/result.h"

namespace memspy::daemon {

// Which processes belong to a service. Patterns are those of a shell (`*`, `?`, `[a-z]`); an empty
// one fits everything, and those given must all fit.
struct Rule {
  std::string name;           // of the service: a label of its figures
  std::string process;        // comm, as `ps` shows it (15 bytes)
  std::string command;        // the arguments with blanks between them
  std::string executable;     // the path
  std::string user;           // a name or a number
  std::string cgroup;         // the path, as /proc/PID/cgroup has it
  std::string container;      // the container's id; a prefix will do
  bool trace_always = false;  // trace the whole life, not only growth
};

struct RecorderConfig {
  std::chrono::nanoseconds keep = std::chrono::minutes(30);
  std::chrono::nanoseconds segment = std::chrono::minutes(5);
  // Of the figures alone, a point of each target a minute: since when something grows.
  std::chrono::nanoseconds history = std::chrono::hours(48);
  std::chrono::nanoseconds history_interval = std::chrono::minutes(1);
  std::uint64_t per_target_bytes = 64U << 20;
  std::uint64_t total_bytes = 1U << 30;
  std::uint64_t evidence_bytes = 1U << 30;  // of bundles, besides
  std::uint64_t reserve_bytes = 64U << 20;  // of the disk, which stay free
};

struct BudgetConfig {
  double cpu_percent = 3;  // of one core: the daemon and its tracers
  std::uint64_t memory_bytes = 80U << 20;
  double stopped_percent = 1;  // of each target's time, with what its tracer costs
};

struct TracingConfig {
  std::chrono::nanoseconds settle = std::chrono::seconds(15);
  std::chrono::nanoseconds calm = std::chrono::minutes(2);
  std::uint64_t step_bytes = 1U << 20;
  double step_percent = 1;
  unsigned most = 16;  // tracers at a time
};

struct HttpConfig {
  std::string listen;      // "127.0.0.1:9464"; "": no HTTP
  std::string token_file;  // whoever asks has to show its content
};

struct PushConfig {
  std::string url;  // of a Pyroscope-compatible endpoint, without /ingest; "": nothing is pushed
  std::chrono::nanoseconds interval = std::chrono::minutes(1);  // a profile for each
  std::string service;                                          // pattern of rule names; "": all
  std::vector<std::pair<std::string, std::string>> labels;
  std::string tenant;               // X-Scope-OrgID
  std::string token_file;           // Authorization: Bearer
  std::string user, password_file;  // Authorization: Basic
};

struct AlertConfig {
  std::string name;
  std::string when;     // the expression
  std::string service;  // pattern of rule names; "": all
  std::vector<std::pair<std::string, std::string>> labels;
  std::chrono::nanoseconds cool_down = std::chrono::minutes(10);
  std::vector<std::string> hook;  // a command, with the alert as JSON on its standard input
  std::string post;               // http://HOST[:PORT]/PATH
  bool evidence = true;
};

struct Config {
  std::string path;  // where it was read
  std::string state_dir = "/var/lib/memspy";
  std::string socket = "/run/memspy/memspy.sock";
  std::chrono::nanoseconds interval = std::chrono::seconds(1);
  bool events = true;  // the kernel's process events, where privileges allow
  RecorderConfig recorder;
  BudgetConfig budget;
  TracingConfig tracing;
  HttpConfig http;
  PushConfig push;
  std::string alert_log;  // "": STATE_DIR/alerts.jsonl
  std::vector<Rule> rules;
  std::vector<AlertConfig> alerts;
};

// kUsage, with the place in the file: not TOML, a key that is not known, a value that makes no
// sense.
Result<Config> read_config(const std::string& path);
// The socket that it names, whatever else may be wrong with it; the default where it names none.
// kUsage: it cannot be read, or is not TOML, so that nobody knows which daemon is meant.
Result<std::string> read_socket(const std::string& path);
Result<Config> parse_config(const std::string& text, const std::string& path);

}  // namespace memspy::daemon
