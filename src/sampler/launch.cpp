#include "sampler/launch.h"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace memspy::sampler {
namespace {

// Its Ctrl-C, its Ctrl-Z and its input belong to one group: whoever waits in another gets none.
bool has_terminal() {
  return UniqueFd(::open("/dev/tty", O_RDONLY | O_NOCTTY | O_CLOEXEC)).valid();
}

// In the child, between fork and exec: async-signal-safe calls only.
[[noreturn]] void wait_and_exec(int ready, int gate, int failure, char* const* argv,
                                bool own_group) {
  if (own_group) ::setpgid(0, 0);
  sigset_t none;
  sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  ::signal(SIGPIPE, SIG_DFL);
  ::signal(SIGXFSZ, SIG_DFL);
  char byte = 0;
  [[maybe_unused]] const auto told = ::write(ready, &byte, 1);
  while (::read(gate, &byte, 1) < 0 && errno == EINTR) {
  }
  ::execvp(argv[0], argv);
  const int err = errno;
  [[maybe_unused]] const auto written = ::write(failure, &err, sizeof(err));
  ::_exit(127);
}

}  // namespace

Result<Launch> Launch::prepare(const std::vector<std::string>& command) {
  int ready[2], gate[2], failure[2];
  if (::pipe2(ready, O_CLOEXEC) != 0)
    return make_error(Errc::kInternal, "cannot make a pipe", errno);
  const UniqueFd ready_read(ready[0]);
  UniqueFd ready_write(ready[1]);
  if (::pipe2(gate, O_CLOEXEC) != 0)
    return make_error(Errc::kInternal, "cannot make a pipe", errno);
  Launch launch;
  const UniqueFd gate_read(gate[0]);
  launch.gate_.reset(gate[1]);
  if (::pipe2(failure, O_CLOEXEC) != 0)
    return make_error(Errc::kInternal, "cannot make a pipe", errno);
  launch.failure_.reset(failure[0]);
  const UniqueFd failure_write(failure[1]);
  std::vector<char*> argv;
  for (const auto& argument : command) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  const bool own_group = !has_terminal();
  const pid_t pid = ::fork();
  if (pid < 0) return make_error(Errc::kInternal, "cannot fork", errno);
  if (pid == 0) {
    ::close(gate[1]);
    wait_and_exec(ready[1], gate[0], failure[1], argv.data(), own_group);
  }
  // Until then it blocks every signal, as fork() has it: its status would speak against an engine.
  ready_write.reset();
  char byte = 0;
  while (::read(ready_read.get(), &byte, 1) < 0 && errno == EINTR) {
  }
  launch.pid_ = Pid{pid};
  launch.name_ = command.front();
  return launch;
}

Result<Unit> Launch::release() {
  gate_.reset();
  int err = 0;
  ssize_t got = 0;
  while ((got = ::read(failure_.get(), &err, sizeof(err))) < 0 && errno == EINTR) {
  }
  if (got == sizeof(err)) return make_error(Errc::kUsage, "cannot start " + name_, err);
  return Unit{};
}

}  // namespace memspy::sampler
