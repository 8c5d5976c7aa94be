#include "attach/signal_choice.h"

#include <signal.h>
#include <unistd.h>

#include <array>

namespace memspy::attach {
namespace {

// In order of how seldom programs use them. Default action of all three: ignore.
constexpr std::array kCandidates = {SIGURG, SIGWINCH, SIGCHLD};

}  // namespace

bool perf_signals_reach(const procfs::Status& thread) {
  const auto own = ::geteuid(), real = ::getuid();
  if (own == 0) return true;
  const auto is = [&](std::uint32_t uid) { return uid == own || uid == real; };
  return is(thread.uid.real) || is(thread.uid.saved);
}

bool signal_free(const procfs::Status& thread, int signal) {
  return !thread.sig_caught.contains(signal) && !thread.sig_blocked.contains(signal);
}

std::optional<int> choose_signal(const procfs::Status& thread) {
  for (const int signal : kCandidates) {
    if (signal_free(thread, signal)) return signal;
  }
  return std::nullopt;
}

}  // namespace memspy::attach
