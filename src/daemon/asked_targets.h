// Which processes somebody has asked to be traced, and until when: kept in a file, so that a
// restarted daemon goes on with them.
//
// One thread.
#pragma once

#include <chrono>
#include <map>
#include <string>

#include "memspy/process.h"
#include "memspy/result.h"

namespace memspy::daemon {

class AskedTargets {
 public:
  // Reads what is there; a file that is damaged is an empty one.
  explicit AskedTargets(std::string path);

  // Times are since the Unix epoch. Each change is on disk when the call returns, if it can be.
  Result<Unit> add(const ProcessIdentity& identity, std::chrono::seconds until);
  void forget(const ProcessIdentity& identity);
  void forget_expired(std::chrono::seconds now);
  const std::map<ProcessIdentity, std::chrono::seconds>& all() const { return until_; }

 private:
  Result<Unit> write() const;
  std::string path_;
  std::map<ProcessIdentity, std::chrono::seconds> until_;
};

}  // namespace memspy::daemon
