#include "daemon/control_socket.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <optional>
#include <utility>

#include <spdlog/fmt/fmt.h>

#include "base/clock.h"
#include "daemon/socket_io.h"

namespace memspy::daemon {
namespace {

using namespace std::chrono_literals;
using std::chrono::milliseconds;

constexpr std::size_t kLongestRequest = 64U << 10;
constexpr std::size_t kLongestAnswer = 64U << 20;
constexpr auto kStrangerTime = 100ms;
// Of refusals that a program tells apart by memspy's exit; all others are the daemon's own.
constexpr std::array kCodes{std::pair{Errc::kNoSuchProcess, "no-such-process"},
                            std::pair{Errc::kUnsupported, "not-python"},
                            std::pair{Errc::kTargetGone, "target-gone"}};
constexpr useconds_t kStopPause = 20'000;
constexpr auto kServeTime = 2000ms;  // for one client, who is local and has its line ready

// Until a line end, the end of input, the cap or the deadline.
std::optional<std::string> read_line(int fd, std::size_t cap, SteadyTime deadline) {
  std::string text;
  while (text.size() <= cap && wait_for(fd, POLLIN, deadline)) {
    std::array<char, 8192> buffer;  // NOLINT(cppcoreguidelines-pro-type-member-init)
    const ssize_t count = ::recv(fd, buffer.data(), buffer.size(), MSG_DONTWAIT);
    if (count < 0 && (errno == EAGAIN || errno == EINTR)) continue;
    if (count <= 0) return std::nullopt;
    text.append(buffer.data(), static_cast<std::size_t>(count));
    if (const auto end = text.find('\n'); end != std::string::npos) return text.substr(0, end);
  }
  return std::nullopt;
}

Result<sockaddr_un> address_of(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof(address.sun_path))
    return make_error(Errc::kUsage, "the path of the socket is too long: " + path);
  std::memcpy(address.sun_path, path.data(), path.size());
  return address;
}

Result<UniqueFd> connect_to(const std::string& path) {
  MEMSPY_TRY(address, address_of(path));
  UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (fd.valid() &&
      ::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0)
    return fd;
  const int error = errno;
  const bool refused = error == EACCES || error == EPERM;
  Error failed = make_error(refused ? Errc::kPermission : Errc::kNoSuchProcess,
                            "no daemon answers at " + path, error);
  failed.hint = refused ? "be root, or the user whom the daemon runs as"
                        : "memspy daemon --config FILE starts one; --socket names another place";
  return failed;
}

bool may_ask(int fd) {
  ucred peer{};
  socklen_t size = sizeof(peer);
  if (::getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) return false;
  return peer.uid == 0 || peer.uid == ::geteuid();
}

}  // namespace

Json control_error(const Error& error) {
  Json json;
  json["schema"] = "memspy.control/1";
  json["error"] = describe(error);
  for (const auto& [code, name] : kCodes)
    if (error.code == code) json["code"] = name;
  json["why"] = error.why;
  json["hint"] = error.hint;
  return json;
}

Result<std::unique_ptr<ControlServer>> ControlServer::start(const std::string& path,
                                                            Answer answer) {
  MEMSPY_TRY(address, address_of(path));
  if (connect_to(path).has_value())
    return make_error(Errc::kUsage, "another daemon answers at " + path);
  // As /run/memspy, which a service manager makes: by hand it is not there.
  ::mkdir(path.substr(0, path.rfind('/')).c_str(), 0700);
  struct stat left {};
  if (::lstat(path.c_str(), &left) == 0 && S_ISSOCK(left.st_mode)) ::unlink(path.c_str());
  UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  // The mode is set before anyone can connect: umask would be the whole process'.
  if (!fd.valid() || ::fchmod(fd.get(), 0600) != 0 ||
      ::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0 ||
      ::listen(fd.get(), 16) != 0) {
    const int error = errno;
    return make_error(Errc::kOutput, "cannot make the socket " + path, error);
  }
  return std::unique_ptr<ControlServer>(new ControlServer(path, std::move(fd), std::move(answer)));
}

ControlServer::ControlServer(std::string path, UniqueFd fd, Answer answer)
    : path_(std::move(path)),
      fd_(std::move(fd)),
      answer_(std::move(answer)),
      thread_([this] { run(); }) {}

ControlServer::~ControlServer() {
  ending_.wake();
  thread_.join();
  ::unlink(path_.c_str());
}

void ControlServer::run() {
  for (;;) {
    std::array<pollfd, 2> fds{pollfd{fd_.get(), POLLIN, 0}, pollfd{ending_.fd(), POLLIN, 0}};
    if (::poll(fds.data(), fds.size(), -1) < 0 && errno == EINTR) continue;
    if (fds[1].revents != 0) return;
    const UniqueFd client(::accept4(fd_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    if (client.valid()) serve(client.get());
  }
}

void ControlServer::serve(int fd) const {
  const auto begin = std::chrono::steady_clock::now();
  const auto deadline = begin + kServeTime;
  if (!may_ask(fd)) {
    // Read, or the close would take the answer with it; not for long, though.
    (void)read_line(fd, kLongestRequest, begin + kStrangerTime);
    const auto refusal = make_error(Errc::kPermission, "the daemon answers root and its own user");
    (void)send_all(fd, json_text(control_error(refusal)) + '\n', deadline);
    return;
  }
  const auto line = read_line(fd, kLongestRequest, deadline);
  if (!line) return;
  const Json request = parse_json(*line);
  const Json answer = request.is_object()
                          ? answer_(request)
                          : control_error(make_error(Errc::kUsage, "that is no JSON object"));
  // The answer may have taken its own time.
  (void)send_all(fd, json_text(answer) + '\n', std::chrono::steady_clock::now() + kServeTime);
}

namespace {

Result<Json> ask(const UniqueFd& fd, const Json& request, milliseconds patience) {
  const auto deadline = std::chrono::steady_clock::now() + patience;
  if (send_all(fd.get(), json_text(request) + '\n', deadline) != Sent::kAll)
    return make_error(Errc::kTimeout, "the daemon does not take a question");
  const auto line = read_line(fd.get(), kLongestAnswer, deadline);
  if (!line) return make_error(Errc::kTimeout, "the daemon does not answer");
  Json answer = parse_json(*line);
  if (!answer.is_object()) return make_error(Errc::kCorrupt, "the daemon's answer is no JSON");
  const auto error = member<std::string>(answer, "error");
  if (!error) return answer;
  Error refused = make_error(Errc::kUsage, *error);
  for (const auto& [code, name] : kCodes)
    if (member<std::string>(answer, "code") == name) refused.code = code;
  refused.why = member<std::string>(answer, "why").value_or("");
  refused.hint = member<std::string>(answer, "hint").value_or("");
  return refused;
}

// Who listens there; invalid: it is of another PID namespace.
UniqueFd hold_listener(int fd) {
  ucred peer{};
  socklen_t size = sizeof(peer);
  if (::getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0 || peer.pid <= 0) return {};
  return UniqueFd(static_cast<int>(::syscall(SYS_pidfd_open, peer.pid, 0)));
}

}  // namespace

Result<Json> ask_daemon(const std::string& path, const Json& request, milliseconds patience) {
  MEMSPY_TRY(fd, connect_to(path));
  return ask(fd, request, patience);
}

Result<Json> stop_daemon(const std::string& path, milliseconds patience) {
  MEMSPY_TRY(fd, connect_to(path));
  const UniqueFd daemon = hold_listener(fd.get());
  const auto deadline = std::chrono::steady_clock::now() + patience;
  MEMSPY_TRY(answer, ask(fd, {{"command", "stop"}}, patience));
  bool ended = false;
  if (daemon.valid()) {
    ended = wait_for(daemon.get(), POLLIN, deadline);
  } else {
    while (!(ended = !connect_to(path).has_value()) && std::chrono::steady_clock::now() < deadline)
      ::usleep(kStopPause);
  }
  if (ended) return answer;
  return make_error(Errc::kTimeout, "the daemon was told to stop, and has not ended yet");
}

}  // namespace memspy::daemon
