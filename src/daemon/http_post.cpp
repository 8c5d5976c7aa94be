#include "daemon/http_post.h"

#include <netdb.h>
#include <poll.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <memory>
#include <optional>
#include <string_view>

#include <spdlog/fmt/fmt.h>

#include "base/clock.h"
#include "base/unique_fd.h"
#include "daemon/socket_io.h"

namespace memspy::daemon {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

Result<UniqueFd> connect_to(const HttpUrl& url, SteadyTime deadline) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  // The resolver has deadlines of its own (resolv.conf).
  if (const int error = ::getaddrinfo(url.host.c_str(), url.port.c_str(), &hints, &found);
      error != 0)
    return make_error(Errc::kOutput, fmt::format("{}: {}", url.host, ::gai_strerror(error)));
  const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> list(found, &::freeaddrinfo);
  int error = ECONNREFUSED;
  for (const addrinfo* at = found; at != nullptr; at = at->ai_next) {
    UniqueFd fd(::socket(at->ai_family, at->ai_socktype | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!fd.valid()) continue;
    if (::connect(fd.get(), at->ai_addr, at->ai_addrlen) == 0) return fd;
    if (errno == EINPROGRESS && wait_for(fd.get(), POLLOUT, deadline)) {
      socklen_t size = sizeof(error);
      if (::getsockopt(fd.get(), SOL_SOCKET, SO_ERROR, &error, &size) == 0 && error == 0) return fd;
    } else {
      error = errno == EINPROGRESS ? ETIMEDOUT : errno;
    }
  }
  return make_error(Errc::kOutput, fmt::format("cannot connect to {}:{}", url.host, url.port),
                    error);
}

// "HTTP/1.1 204 No Content"
std::optional<int> status_of(std::string_view answer) {
  int status = 0;
  if (!answer.starts_with("HTTP/1.") || answer.size() < 12) return std::nullopt;
  const auto [end, error] = std::from_chars(answer.data() + 9, answer.data() + 12, status);
  if (error != std::errc{} || end != answer.data() + 12) return std::nullopt;
  return status;
}

}  // namespace

Result<HttpUrl> parse_http_url(const std::string& text) {
  constexpr std::string_view kScheme = "http://";
  Error bad = make_error(Errc::kUsage, "\"" + text + "\" is no http:// URL");
  bad.hint = text.starts_with("https://")
                 ? "for https, a hook: hook = [\"curl\", \"-sS\", \"--json\", \"@-\", \"URL\"]"
                 : "http://HOST:PORT/PATH";
  if (!text.starts_with(kScheme)) return bad;
  const std::string_view rest = std::string_view(text).substr(kScheme.size());
  const auto slash = std::min(rest.find('/'), rest.size());
  std::string_view place = rest.substr(0, slash);
  HttpUrl url{"", "80", slash < rest.size() ? std::string(rest.substr(slash)) : "/"};
  const auto colon = place.rfind(':');
  if (colon != std::string_view::npos && place.find(']', colon) == std::string_view::npos) {
    url.port = place.substr(colon + 1);
    place = place.substr(0, colon);
  }
  if (place.starts_with('[') && place.ends_with(']')) place = place.substr(1, place.size() - 2);
  url.host = place;
  const auto plain = [](const std::string& part) {
    for (const char c : part)
      if (static_cast<unsigned char>(c) <= ' ' || c == 0x7f) return false;
    return !part.empty();
  };
  // Credentials in a URL end up in logs: whoever needs some has a hook.
  const bool secret = rest.substr(0, slash).find('@') != std::string_view::npos;
  if (secret || !plain(url.host) || !plain(url.port) || !plain(url.path)) return bad;
  return url;
}

Result<int> post_json(const HttpUrl& url, const std::string& body, milliseconds patience) {
  return http_post(url, {url.path, "application/json", "", body}, patience);
}

Result<int> http_post(const HttpUrl& url, const HttpPost& post, milliseconds patience) {
  const auto deadline = steady_clock::now() + patience;
  MEMSPY_TRY(fd, connect_to(url, deadline));
  // An address of IPv6 stands in brackets there.
  const bool bare = url.host.find(':') != std::string::npos;
  const std::string request = fmt::format(
      "POST {} HTTP/1.1\r\nHost: {}:{}\r\nContent-Type: {}\r\nContent-Length: {}\r\n{}"
      "User-Agent: memspy\r\nConnection: close\r\n\r\n{}",
      post.path, bare ? "[" + url.host + "]" : url.host, url.port, post.type, post.body.size(),
      post.headers, post.body);
  const Sent sent = send_all(fd.get(), request, deadline);
  const int error = errno;
  if (sent == Sent::kLate) return make_error(Errc::kTimeout, "it is not taken in time");
  if (sent == Sent::kBroken) return make_error(Errc::kOutput, "the connection broke", error);
  std::string answer;
  constexpr std::size_t kEnough = 12;
  while (answer.size() < kEnough && wait_for(fd.get(), POLLIN, deadline)) {
    std::array<char, 512> buffer;  // NOLINT(cppcoreguidelines-pro-type-member-init)
    const ssize_t count = ::recv(fd.get(), buffer.data(), buffer.size(), MSG_DONTWAIT);
    if (count == 0 || (count < 0 && errno != EAGAIN && errno != EINTR)) break;
    if (count > 0) answer.append(buffer.data(), static_cast<std::size_t>(count));
  }
  if (const auto status = status_of(answer)) return *status;
  return make_error(Errc::kTimeout, "no answer came");
}

}  // namespace memspy::daemon
