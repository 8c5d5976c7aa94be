#include "daemon/http_server.h"

#include <arpa/inet.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <exception>
#include <optional>

#include <spdlog/fmt/fmt.h>

#include "base/clock.h"
#include "daemon/socket_io.h"

namespace memspy::daemon {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

const char* reason_of(int status) {
  switch (status) {
    case 200:
      return "OK";
    case 400:
      return "Bad Request";
    case 401:
      return "Unauthorized";
    case 403:
      return "Forbidden";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 408:
      return "Request Timeout";
    case 431:
      return "Request Header Fields Too Large";
    case 503:
      return "Service Unavailable";
    case 505:
      return "HTTP Version Not Supported";
    default:
      return "Internal Server Error";
  }
}

std::string head_of(const HttpAnswer& answer) {
  std::string head = fmt::format("HTTP/1.1 {} {}\r\n", answer.status, reason_of(answer.status));
  head +=
      fmt::format("Content-Type: {}\r\nContent-Length: {}\r\n", answer.type, answer.body.size());
  head += "Connection: close\r\nCache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n";
  // Nothing that is answered runs, loads or asks anything, but for what a page says of itself.
  head += fmt::format(
      "Referrer-Policy: no-referrer\r\nCross-Origin-Resource-Policy: same-origin\r\n"
      "Content-Security-Policy: {}; frame-ancestors 'none'\r\n",
      answer.policy.empty() ? "default-src 'none'" : answer.policy);
  if (answer.status == 401) head += "WWW-Authenticate: Bearer\r\n";
  if (answer.status == 405) head += "Allow: GET, HEAD\r\n";
  if (!answer.file_name.empty())
    head += fmt::format("Content-Disposition: inline; filename=\"{}\"\r\n", answer.file_name);
  return head + "\r\n";
}

// nullopt: the client went, or was too slow.
std::optional<std::string> read_head(int fd, SteadyTime deadline) {
  std::string bytes;
  while (!http_head_complete(bytes) && bytes.size() <= kLongestHttpRequest) {
    if (!wait_for(fd, POLLIN, deadline)) return std::nullopt;
    std::array<char, 4096> buffer;  // NOLINT(cppcoreguidelines-pro-type-member-init)
    const ssize_t count = ::recv(fd, buffer.data(), buffer.size(), MSG_DONTWAIT);
    if (count < 0 && (errno == EAGAIN || errno == EINTR)) continue;
    if (count <= 0) return std::nullopt;
    bytes.append(buffer.data(), static_cast<std::size_t>(count));
  }
  return bytes;
}

// What the client still sends is read for a moment: a close with bytes unread would be a reset,
// which may take the answer with it.
void end_politely(int fd) {
  ::shutdown(fd, SHUT_WR);
  const auto deadline = steady_clock::now() + milliseconds(200);
  std::array<char, 4096> buffer;  // NOLINT(cppcoreguidelines-pro-type-member-init)
  for (int i = 0; i < 64 && wait_for(fd, POLLIN, deadline); ++i)
    if (::recv(fd, buffer.data(), buffer.size(), MSG_DONTWAIT) <= 0) return;
}

struct SocketAddress {
  sockaddr_storage storage{};
  socklen_t size = 0;
};

SocketAddress socket_address(const HttpAddress& address) {
  SocketAddress out;
  sockaddr_in v4{};
  sockaddr_in6 v6{};
  if (::inet_pton(AF_INET, address.host.c_str(), &v4.sin_addr) == 1) {
    v4.sin_family = AF_INET;
    v4.sin_port = htons(address.port);
    out.size = sizeof(v4);
    std::memcpy(&out.storage, &v4, sizeof(v4));
  } else if (::inet_pton(AF_INET6, address.host.c_str(), &v6.sin6_addr) == 1) {
    v6.sin6_family = AF_INET6;
    v6.sin6_port = htons(address.port);
    out.size = sizeof(v6);
    std::memcpy(&out.storage, &v6, sizeof(v6));
  }
  return out;
}

unsigned short port_of(int fd) {
  sockaddr_storage storage{};
  socklen_t size = sizeof(storage);
  if (::getsockname(fd, reinterpret_cast<sockaddr*>(&storage), &size) != 0) return 0;
  in_port_t port = 0;  // at the same place in both families
  std::memcpy(&port, reinterpret_cast<const char*>(&storage) + offsetof(sockaddr_in, sin_port),
              sizeof(port));
  return ntohs(port);
}

}  // namespace

Result<HttpAddress> parse_http_address(const std::string& text) {
  HttpAddress address;
  const auto colon = text.rfind(':');
  const auto bad = [&] {
    Error error = make_error(Errc::kUsage, "\"" + text + "\" is no address with a port");
    error.hint = "127.0.0.1:9464 or [::1]:9464";
    return error;
  };
  if (colon == std::string::npos) return bad();
  const char* end = text.data() + text.size();
  const auto [at, failure] = std::from_chars(text.data() + colon + 1, end, address.port);
  if (failure != std::errc{} || at != end) return bad();
  address.host = text.substr(0, colon);
  if (address.host.starts_with('[') && address.host.ends_with(']'))
    address.host = address.host.substr(1, address.host.size() - 2);
  if (address.host == "localhost") address.host = "127.0.0.1";
  if (socket_address(address).size == 0) return bad();
  address.loopback = address.host.starts_with("127.") || address.host == "::1";
  return address;
}

Result<std::unique_ptr<HttpServer>> HttpServer::start(const HttpAddress& address, Handler handler,
                                                      HttpLimits limits) {
  const SocketAddress place = socket_address(address);
  UniqueFd fd(::socket(place.storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  const int yes = 1;
  if (fd.valid()) ::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
  if (!fd.valid() ||
      ::bind(fd.get(), reinterpret_cast<const sockaddr*>(&place.storage), place.size) != 0 ||
      ::listen(fd.get(), 16) != 0) {
    const int error = errno;
    Error failed =
        make_error(Errc::kOutput,
                   fmt::format("cannot listen at {} port {}", address.host, address.port), error);
    failed.hint = "listen of [http] has the address: another port, or what uses this one ends";
    return failed;
  }
  const unsigned short port = port_of(fd.get());
  return std::unique_ptr<HttpServer>(
      new HttpServer(std::move(fd), port, std::move(handler), limits));
}

HttpServer::HttpServer(UniqueFd fd, unsigned short port, Handler handler, HttpLimits limits)
    : fd_(std::move(fd)), port_(port), handler_(std::move(handler)), limits_(limits) {
  threads_.emplace_back([this] { accept_all(); });
  for (unsigned i = 0; i < limits_.threads; ++i) threads_.emplace_back([this] { answer_all(); });
}

HttpServer::~HttpServer() {
  {
    const std::lock_guard lock(mutex_);
    ending_ = true;
    waiting_.clear();
    for (const int fd : served_) ::shutdown(fd, SHUT_RDWR);
  }
  ending_wake_.wake();
  news_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

void HttpServer::accept_all() {
  for (;;) {
    std::array<pollfd, 2> fds{pollfd{fd_.get(), POLLIN, 0}, pollfd{ending_wake_.fd(), POLLIN, 0}};
    if (::poll(fds.data(), fds.size(), -1) < 0 && errno == EINTR) continue;
    if (fds[1].revents != 0) return;
    accept_one();
  }
}

void HttpServer::accept_one() {
  UniqueFd client(::accept4(fd_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
  if (!client.valid()) {
    // Out of descriptors: the connection waits, and so does this thread, but not at full speed.
    if (errno == EMFILE || errno == ENFILE) ::poll(nullptr, 0, 100);
    return;
  }
  {
    const std::lock_guard lock(mutex_);
    if (waiting_.size() < limits_.waiting) {
      waiting_.push_back(std::move(client));
      news_.notify_one();
      return;
    }
  }
  const std::string head = head_of({503, "text/plain", "", "", ""});
  ::send(client.get(), head.data(), head.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
}

void HttpServer::answer_all() {
  for (;;) {
    UniqueFd client;
    {
      std::unique_lock lock(mutex_);
      news_.wait(lock, [&] { return ending_ || !waiting_.empty(); });
      if (ending_) return;
      client = std::move(waiting_.front());
      waiting_.pop_front();
      served_.insert(client.get());
    }
    serve(client.get());
    const std::lock_guard lock(mutex_);
    served_.erase(client.get());
    client.reset();  // under the lock: its number must not be shut down once it is another's
  }
}

void HttpServer::serve(int fd) {
  const auto bytes = read_head(fd, steady_clock::now() + limits_.request_time);
  HttpAnswer answer;
  bool head_only = false;
  if (!bytes) {
    answer.status = 408;
  } else if (auto parsed = parse_http_request(*bytes); parsed.request) {
    head_only = parsed.request->head;
    try {
      answer = handler_(*parsed.request);
    } catch (const std::exception&) {  // memory, or a bug: of this one answer
      answer = {500, "text/plain", "", "", ""};
    }
  } else {
    answer.status = parsed.status;
    answer.body = parsed.why + "\n";
  }
  const auto deadline = steady_clock::now() + limits_.answer_time;
  (void)send_all(fd, head_of(answer), deadline);
  if (!head_only) send_all(fd, answer.body, deadline);
  end_politely(fd);
}

}  // namespace memspy::daemon
