// What a person or a supervisor may send memspy while it samples. Handlers only set flags and call
// Session::stop, which is async-signal-safe; the tracer thread is not disturbed (SA_RESTART).
#pragma once

#include "sampler/session.h"

namespace memspy::cli {

// Before anything else: a reader of stdout that goes away is an EPIPE, and a file that may not grow
// an EFBIG, not a death.
void ignore_write_signals();

// SIGINT, SIGTERM and SIGHUP end the session, SIGUSR1 asks for a checkpoint. One thread; scopes may
// be inside of one another, and the outermost counts: a verb opens one before it makes files.
class SignalScope {
 public:
  SignalScope();
  ~SignalScope();
  SignalScope(const SignalScope&) = delete;
  SignalScope& operator=(const SignalScope&) = delete;

  // From here on signals stop this session; one that came before stops it at once.
  void watch(sampler::Session& session);
  void unwatch();

  // The signal that asked for the end ("signal SIGINT"), or nullptr.
  static const char* stop_reason();
  // It was a key at the terminal, and so for all of the terminal's foreground group.
  static bool from_terminal();
  // True once per SIGUSR1.
  static bool take_checkpoint_request();
};

}  // namespace memspy::cli
