#include "sampler/stop_signal.h"

#include <signal.h>

#include <algorithm>
#include <chrono>
#include <thread>

#include "attach/signal_choice.h"

namespace memspy::sampler {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t kMaxRetired = 16;  // four watchpoints are given up at once
constexpr int kPassingBlocks = 60;

}  // namespace

Result<Unit> probe_stop_signal(const procfs::ProcDir& proc, Pid pid) {
  MEMSPY_TRY(status, proc.status(pid));
  // A thread that starts another blocks every signal for some microseconds.
  for (int attempt = 0; attempt < kPassingBlocks && !attach::choose_signal(status); ++attempt) {
    std::this_thread::sleep_for(1ms);
    MEMSPY_TRY(again, proc.status(pid));
    status = again;
  }
  if (!attach::choose_signal(status))
    return make_error(Errc::kUnsupported,
                      "the target catches or blocks SIGURG, SIGWINCH and SIGCHLD");
  if (attach::perf_signals_reach(status)) return Unit{};
  Error error = make_error(Errc::kPermission,
                           "the kernel sends perf's signals to processes of memspy's own user "
                           "only, unless it runs as root");
  error.hint = "run memspy as root, or as the user of the target";
  return error;
}

std::optional<int> choose_stop_signal(const procfs::ProcDir& proc, Pid pid, Tid tid, bool newborn) {
  auto status = proc.status(pid, tid);
  if (!status.has_value()) return SIGURG;
  // The C library blocks every signal in a thread, and some in a fork, until it has set it up: that
  // will pass.
  if (newborn) status->sig_blocked = {};
  return attach::choose_signal(*status);
}

// A handler installed since would be run by our signal, were memspy to die; a signal blocked since
// would not come.
bool StopSignal::outdated(const procfs::Status& thread, bool armed) {
  const bool fits = armed ? attach::signal_free(thread, signal_) : !attach::choose_signal(thread);
  const bool caught = armed && thread.sig_caught.contains(signal_);
  // A block may be that of a thread which just starts another; the next check tells.
  const bool again = std::exchange(misfit_, !fits);
  if (fits || (!caught && !again)) return false;
  misfit_ = false;
  return true;
}

void StopSignal::retire(int fd) {
  retired_.emplace_back(signal_, fd);
  if (retired_.size() > kMaxRetired) retired_.erase(retired_.begin());
}

bool StopSignal::is_of(const attach::SignalStop& stop, int fd) const {
  const auto sent_by = [&](int signal, int file) {
    return stop.signal == signal && stop.is_of(file);
  };
  return (fd >= 0 && sent_by(signal_, fd)) ||
         std::any_of(retired_.begin(), retired_.end(),
                     [&](const auto& event) { return sent_by(event.first, event.second); });
}

}  // namespace memspy::sampler
