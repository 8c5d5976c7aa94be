// Starts a command that waits, so that it can be observed from its first instruction on.
#pragma once

#include <string>
#include <vector>

#include "base/unique_fd.h"
#include "memspy/address.h"
#include "memspy/result.h"

namespace memspy::sampler {

class Launch {
 public:
  // The child exists and waits. Should memspy die, it goes on by itself. It leads a process group
  // of its own, so that a signal can be for all that it starts; not where memspy has a terminal,
  // which they then share.
  static Result<Launch> prepare(const std::vector<std::string>& command);
  Pid pid() const { return pid_; }
  // Lets the child execute the command; waits until it has, or says why it could not.
  Result<Unit> release();

 private:
  Pid pid_;
  UniqueFd gate_;     // closing it lets the child go
  UniqueFd failure_;  // errno of a failed exec, or end of file
  std::string name_;
};

}  // namespace memspy::sampler
