#include "attach/wait_status.h"

#include <signal.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/wait.h>

namespace memspy::attach {

WaitStatus::WaitStatus(int raw) : raw_(raw), kind_(Kind::kSignalStop), code_(0) {
  if (WIFEXITED(raw)) {
    kind_ = Kind::kExited;
    code_ = WEXITSTATUS(raw);
  } else if (WIFSIGNALED(raw)) {
    kind_ = Kind::kKilled;
    code_ = WTERMSIG(raw);
  } else {
    const int signal = WSTOPSIG(raw);
    const int event = raw >> 16;
    if (event == PTRACE_EVENT_STOP) {
      kind_ = signal == SIGTRAP ? Kind::kInterrupted : Kind::kGroupStop;
      code_ = signal;
    } else if (event != 0) {
      kind_ = Kind::kEvent;
      code_ = event;
    } else {
      code_ = signal;
    }
  }
}

std::string describe_end(WaitStatus status) {
  if (status.kind() == WaitStatus::Kind::kExited) return "exit " + std::to_string(status.code());
  const char* name = ::sigabbrev_np(status.code());
  return "killed by SIG" + (name != nullptr ? std::string(name) : std::to_string(status.code()));
}

}  // namespace memspy::attach
