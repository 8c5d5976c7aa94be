// What the daemon says over HTTP: docs/daemon.md has the paths. It answers from the published
// status and from the shelf; nothing of a request ever becomes the name of a file: a target is
// found among those that are watched, by its number.
//
// Any thread.
#pragma once

#include <chrono>
#include <functional>
#include <mutex>
#include <string>

#include "daemon/alert_history.h"
#include "daemon/http_server.h"
#include "daemon/recorded_window.h"
#include "daemon/status.h"
#include "sinks/sink_registry.h"

namespace memspy::daemon {

struct HttpApiOptions {
  std::string state_dir;
  std::string token;      // "" for nobody has to show one
  bool loopback = false;  // who asks says that it is to loopback, too: Host
  std::chrono::nanoseconds longest_window = std::chrono::minutes(30);
  sinks::FindWords words;                 // of a target's page; empty: none
  const AlertHistory* history = nullptr;  // outlives who asks it; null: none
};

class HttpApi {
 public:
  // `board` outlives this. `wall_now`: since the Unix epoch.
  HttpApi(const StatusBoard& board, HttpApiOptions options,
          std::function<std::chrono::nanoseconds()> wall_now)
      : board_(board), options_(std::move(options)), wall_now_(std::move(wall_now)) {}

  HttpAnswer answer(const HttpRequest& request) const;

 private:
  // An answer when it may not be asked.
  HttpAnswer refusal(const HttpRequest& request) const;
  HttpAnswer answer_target(const HttpRequest& request) const;
  HttpAnswer answer_page(const ProcessIdentity& target, WallWindow window, bool data_only) const;
  HttpAnswer health() const;
  const StatusBoard& board_;
  HttpApiOptions options_;
  std::function<std::chrono::nanoseconds()> wall_now_;
  mutable std::timed_mutex making_page_;  // which takes memory: one at a time
};

// The token in a file: its first line, at least 16 bytes. kUsage when it is none, or others may
// read it.
Result<std::string> read_token(const std::string& path);

}  // namespace memspy::daemon
