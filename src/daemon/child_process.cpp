#include "daemon/child_process.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

#include <spdlog/fmt/fmt.h>

extern char** environ;

namespace memspy::daemon {
namespace {

// What posix_spawn(3) is told, freed on every path.
class SpawnPlan {
 public:
  explicit SpawnPlan(bool own_group) {
    ::posix_spawn_file_actions_init(&actions);
    ::posix_spawnattr_init(&attributes);
    // The daemon blocks what it takes from a signalfd, and ignores SIGPIPE; a child does not.
    sigset_t none;
    sigset_t all;
    sigemptyset(&none);
    sigfillset(&all);
    ::posix_spawnattr_setsigmask(&attributes, &none);
    ::posix_spawnattr_setsigdefault(&attributes, &all);
    // Its own process group: a Ctrl-C at the daemon's terminal is the daemon's to pass on.
    ::posix_spawnattr_setpgroup(&attributes, 0);
    const int group = own_group ? POSIX_SPAWN_SETPGROUP : 0;
    ::posix_spawnattr_setflags(
        &attributes, static_cast<short>(POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | group));
  }
  ~SpawnPlan() {
    ::posix_spawn_file_actions_destroy(&actions);
    ::posix_spawnattr_destroy(&attributes);
  }
  SpawnPlan(const SpawnPlan&) = delete;
  SpawnPlan& operator=(const SpawnPlan&) = delete;

  posix_spawn_file_actions_t actions{};
  posix_spawnattr_t attributes{};
};

struct Pipe {
  UniqueFd read, write;
};

Result<Pipe> make_pipe() {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) == 0) return Pipe{UniqueFd(ends[0]), UniqueFd(ends[1])};
  const int error = errno;
  return make_error(Errc::kInternal, "cannot make a pipe", error);
}

void set_nonblocking(int fd) { ::fcntl(fd, F_SETFL, ::fcntl(fd, F_GETFL) | O_NONBLOCK); }

std::vector<char*> pointers(std::vector<std::string>& words) {
  std::vector<char*> out;
  for (std::string& word : words) out.push_back(word.data());
  return out;
}

Result<Pid> spawn(const ChildOptions& options, const SpawnPlan& plan) {
  std::vector<std::string> command = options.command;
  std::vector<std::string> extra = options.extra_environment;
  std::vector<char*> arguments = pointers(command);
  arguments.push_back(nullptr);
  std::vector<char*> environment = pointers(extra);
  for (char** entry = environ; *entry != nullptr; ++entry) environment.push_back(*entry);
  environment.push_back(nullptr);
  pid_t pid = 0;
  const int error = ::posix_spawnp(&pid, arguments.front(), &plan.actions, &plan.attributes,
                                   arguments.data(), environment.data());
  if (error == 0) return Pid{pid};
  return make_error(Errc::kInternal, "cannot start " + options.command.front(), error);
}

}  // namespace

Result<ChildProcess> ChildProcess::start(const ChildOptions& options) {
  if (options.command.empty()) return make_error(Errc::kInternal, "there is no command to start");
  ChildProcess child;
  MEMSPY_TRY(input, make_pipe());
  Pipe output;
  if (options.output.empty()) {
    MEMSPY_TRY(made, make_pipe());
    output = std::move(made);
    child.output_ = std::move(output.read);
  } else {
    output.write = UniqueFd(::open(options.output.c_str(),
                                   O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600));
    const int error = errno;
    if (!output.write.valid())
      return make_error(Errc::kOutput, "cannot create " + options.output, error);
  }
  SpawnPlan plan(options.own_group);
  ::posix_spawn_file_actions_adddup2(&plan.actions, input.read.get(), STDIN_FILENO);
  ::posix_spawn_file_actions_adddup2(&plan.actions, output.write.get(), STDOUT_FILENO);
  if (options.quiet)
    ::posix_spawn_file_actions_addopen(&plan.actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
  MEMSPY_TRY(pid, spawn(options, plan));
  child.pid_ = pid;
  child.pidfd_ = UniqueFd(static_cast<int>(::syscall(SYS_pidfd_open, pid.value, 0)));
  child.input_ = std::move(input.write);
  set_nonblocking(child.input_.get());
  if (child.output_.valid()) set_nonblocking(child.output_.get());
  return child;
}

ChildProcess& ChildProcess::operator=(ChildProcess&& other) noexcept {
  if (this == &other) return *this;
  end_now();
  pid_ = std::exchange(other.pid_, Pid{});
  pidfd_ = std::move(other.pidfd_);
  input_ = std::move(other.input_);
  output_ = std::move(other.output_);
  status_ = std::exchange(other.status_, std::nullopt);
  return *this;
}

ChildProcess::~ChildProcess() { end_now(); }

void ChildProcess::end_now() {
  if (!pidfd_.valid() || ended()) return;
  // With whatever it has started: its group has its pid, which it keeps until it is reaped.
  ::kill(-pid_.value, SIGKILL);
  ::kill(pid_.value, SIGKILL);
  int status = 0;
  while (::waitpid(pid_.value, &status, 0) < 0 && errno == EINTR) {
  }
  status_ = status;
}

std::size_t ChildProcess::write_some(const std::string& text) {
  if (!input_.valid()) return 0;
  const ssize_t count = ::write(input_.get(), text.data(), text.size());
  return count > 0 ? static_cast<std::size_t>(count) : 0;
}

bool ChildProcess::read_some(std::string& out) {
  std::array<char, 4096> buffer;  // NOLINT(cppcoreguidelines-pro-type-member-init)
  for (;;) {
    const ssize_t count = ::read(output_.get(), buffer.data(), buffer.size());
    if (count > 0) {
      out.append(buffer.data(), static_cast<std::size_t>(count));
      continue;
    }
    if (count < 0 && errno == EINTR) continue;
    return count < 0 && errno == EAGAIN;
  }
}

void ChildProcess::signal(int number) {
  if (!ended()) ::kill(pid_.value, number);
}

std::optional<int> ChildProcess::ended() {
  if (status_) return status_;
  int status = 0;
  if (::waitpid(pid_.value, &status, WNOHANG) == pid_.value) status_ = status;
  return status_;
}

std::string describe_child_end(int status) {
  if (WIFEXITED(status)) return fmt::format("exit {}", WEXITSTATUS(status));
  if (const char* name = ::sigabbrev_np(WTERMSIG(status))) return fmt::format("signal SIG{}", name);
  return fmt::format("signal {}", WTERMSIG(status));
}

}  // namespace memspy::daemon
