// The raw int of waitpid, turned once into what happened.
#pragma once

#include <string>

namespace memspy::attach {

class WaitStatus {
 public:
  enum class Kind {
    kExited,       // code() is the exit status
    kKilled,       // code() is the signal
    kSignalStop,   // signal-delivery-stop: code() is the signal about to be delivered
    kGroupStop,    // job control stop: code() is SIGSTOP, SIGTSTP, SIGTTIN or SIGTTOU
    kInterrupted,  // PTRACE_EVENT_STOP with SIGTRAP: our interrupt, a new tracee, or the end of a
                   // group stop
    kEvent,        // code() is PTRACE_EVENT_CLONE, _FORK, _VFORK, _EXEC or _EXIT
  };
  explicit WaitStatus(int raw);
  Kind kind() const { return kind_; }
  int code() const { return code_; }
  int raw() const { return raw_; }
  bool stopped() const { return kind_ != Kind::kExited && kind_ != Kind::kKilled; }

 private:
  int raw_;
  Kind kind_;
  int code_;
};

// Of kExited and kKilled: "exit 0", "killed by SIGKILL".
std::string describe_end(WaitStatus status);

}  // namespace memspy::attach
