// How the daemon is spoken to: one JSON object and a line end over a Unix socket, one JSON object
// back. Only root and the user whom the daemon runs as are heard; the kernel says who asks
// (SO_PEERCRED).
//
//   {"command": "status"}  {"command": "targets"}  {"command": "stop"}  {"command": "reload"}
//   {"command": "trace", "pid": 4242, "seconds": 600}
//
// An answer has "schema"; a refusal is {"schema": "memspy.control/1", "error": …, "why": …}.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <thread>

#include "base/unique_fd.h"
#include "base/wake_fd.h"
#include "daemon/json.h"
#include "memspy/result.h"

namespace memspy::daemon {

class ControlServer {
 public:
  using Answer = std::function<Json(const Json& request)>;

  // Makes the socket; one that a dead daemon left is replaced. kOutput: it cannot be made.
  // kAlreadyTraced is for processes: another daemon that answers there is kUsage.
  // `answer` is called on the server's thread.
  static Result<std::unique_ptr<ControlServer>> start(const std::string& path, Answer answer);
  ~ControlServer();
  ControlServer(const ControlServer&) = delete;
  ControlServer& operator=(const ControlServer&) = delete;

 private:
  ControlServer(std::string path, UniqueFd fd, Answer answer);
  void run();
  void serve(int fd) const;
  std::string path_;
  UniqueFd fd_;
  Answer answer_;
  WakeFd ending_;
  std::thread thread_;
};

// Asks the daemon at `path`. kNoSuchProcess: nobody is there; kPermission: not for this user;
// kUsage: the daemon refused; kTimeout.
Result<Json> ask_daemon(const std::string& path, const Json& request,
                        std::chrono::milliseconds patience = std::chrono::seconds(10));
// Tells it to stop, and waits until it has: its places are free then. Its answer; kTimeout: it
// still runs.
Result<Json> stop_daemon(const std::string& path,
                         std::chrono::milliseconds patience = std::chrono::seconds(30));

Json control_error(const Error& error);

}  // namespace memspy::daemon
