// One HTTP/1.1 request, as far as the daemon takes one: a GET or HEAD without a body. Everything
// else is refused with the status that says so, before anything is done.
//
// Pure. The grammar is RFC 9112's, held to narrowly: what browsers, Prometheus, curl and Go send.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace memspy::daemon {

inline constexpr std::size_t kLongestHttpRequest = 16U << 10;  // line and headers

struct HttpRequest {
  bool head = false;
  std::vector<std::string> path;  // "/targets/42/pprof": decoded, without empty parts
  std::map<std::string, std::string> query;
  std::string host;           // without its port
  std::string authorization;  // "" none
};

// Whether the whole head of a request is there.
bool http_head_complete(std::string_view bytes);

struct HttpParse {
  std::optional<HttpRequest> request;
  int status = 400;  // of the refusal
  std::string why;
};
HttpParse parse_http_request(std::string_view bytes);

// A whole number of at most nine digits; nullopt: it is none.
std::optional<long> http_number(std::string_view text);

// Whether two secrets are the same, in a time that does not tell how far they are.
bool same_secret(std::string_view given, std::string_view wanted);

}  // namespace memspy::daemon
