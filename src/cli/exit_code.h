// Exit codes of memspy; docs/exit-codes.md lists the same table for people.
#pragma once

#include "memspy/error.h"

namespace memspy::cli {

enum class ExitCode {
  kOk = 0,  // also Ctrl-C, SIGTERM, SIGHUP or the target's exit once a sample was written
  kError = 1,
  kUsage = 2,
  kNoSuchProcess = 3,
  kPermission = 4,
  kNotPython = 5,   // or a build memspy does not know
  kTargetGone = 6,  // before the first good sample
  kOutput = 7,
  kFailOn = 8,  // a --fail-on condition was met
  kAlreadyTraced = 9,
  kTooManyRejected = 10  // more than --max-error allows
};

ExitCode exit_code_for(Errc code);

}  // namespace memspy::cli
