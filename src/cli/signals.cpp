#include "cli/signals.h"

#include <signal.h>

#include <array>
#include <atomic>
#include <cerrno>

namespace memspy::cli {
namespace {

// Handlers have no argument of their own, hence these. All lock-free.
std::atomic<sampler::Session*> watched_session{nullptr};
std::atomic<const char*> reason{nullptr};
std::atomic<bool> checkpoint{false};
std::atomic<int> stop_requests{0};
std::atomic<bool> by_terminal{false};
int depth = 0;  // of scopes; for no handler

constexpr std::array kStopSignals{SIGINT, SIGTERM, SIGHUP};
constexpr int kPatience = 3;  // the third Ctrl-C ends memspy as if it had no handler

const char* reason_of(int signal) {
  switch (signal) {
    case SIGINT:
      return "signal SIGINT";
    case SIGTERM:
      return "signal SIGTERM";
    default:
      return "signal SIGHUP";
  }
}

void on_stop(int signal, siginfo_t* info, void* /*context*/) {
  const int saved = errno;
  by_terminal.store(info->si_code == SI_KERNEL);
  reason.store(reason_of(signal));
  if (auto* session = watched_session.load()) session->stop(reason_of(signal));
  if (stop_requests.fetch_add(1) + 1 >= kPatience) ::signal(signal, SIG_DFL);
  errno = saved;
}

void on_checkpoint(int /*signal*/) { checkpoint.store(true); }

void install(int signal, void (*handler)(int)) {
  struct sigaction action {};
  action.sa_handler = handler;
  action.sa_flags = SA_RESTART;
  sigemptyset(&action.sa_mask);
  sigaction(signal, &action, nullptr);
}

void install_stop(int signal) {
  struct sigaction action {};
  action.sa_sigaction = on_stop;
  action.sa_flags = SA_RESTART | SA_SIGINFO;
  sigemptyset(&action.sa_mask);
  sigaction(signal, &action, nullptr);
}

}  // namespace

void ignore_write_signals() {
  install(SIGPIPE, SIG_IGN);
  install(SIGXFSZ, SIG_IGN);
}

SignalScope::SignalScope() {
  if (depth++ > 0) return;
  reason.store(nullptr);
  checkpoint.store(false);
  stop_requests.store(0);
  by_terminal.store(false);
  for (const int signal : kStopSignals) install_stop(signal);
  install(SIGUSR1, on_checkpoint);
}

SignalScope::~SignalScope() {
  unwatch();
  if (--depth > 0) return;
  for (const int signal : kStopSignals) install(signal, SIG_DFL);
  install(SIGUSR1, SIG_DFL);
}

void SignalScope::watch(sampler::Session& session) {
  watched_session.store(&session);
  if (const char* early = reason.load()) session.stop(early);
}

void SignalScope::unwatch() { watched_session.store(nullptr); }

const char* SignalScope::stop_reason() { return reason.load(); }

bool SignalScope::from_terminal() { return by_terminal.load(); }

bool SignalScope::take_checkpoint_request() { return checkpoint.exchange(false); }

}  // namespace memspy::cli
