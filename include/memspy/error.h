// The one error type of memspy. Codes are few because callers branch on them; text is for people.
#pragma once

#include <string>
#include <utility>
#include <vector>

namespace memspy {

enum class Errc {
  kInternal,       // none of the below; exit 1
  kUsage,          // the command line or a file given on it makes no sense; exit 2
  kNoSuchProcess,  // exit 3
  kPermission,     // Yama, capability, seccomp, other uid; exit 4
  kUnsupported,    // not CPython, or a build memspy does not know; exit 5
  kTargetGone,     // the target ended before the work was done; exit 6 when nothing was sampled
  kOutput,         // an output cannot be written, or the disk is full; exit 7
  kAlreadyTraced,  // another tracer holds the target; exit 9
  kUnreadable,     // an address of the target cannot be read
  kCorrupt,        // bytes of a target or a file that contradict their format
  kTimeout,        // a deadline passed
};

struct Error {
  Errc code = Errc::kInternal;
  int sys = 0;                       // errno captured at the failing call, 0 when none
  std::string message;               // what: the innermost fact, with pid, address or path
  std::string why;                   // the evidence, for a person; may be empty
  std::string hint;                  // what to do, for a person; may be empty
  std::vector<std::string> context;  // added on the way up: "reading _PyRuntime", "attach 4242"
};

inline Error make_error(Errc code, std::string message, int sys = 0) {
  return Error{code, sys, std::move(message), {}, {}, {}};
}

// One line: message, errno text if any, then the context from the inside out.
std::string describe(const Error& error);

}  // namespace memspy
