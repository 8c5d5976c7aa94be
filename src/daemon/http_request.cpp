#include "daemon/http_request.h"

#include <algorithm>
#include <cctype>
#include <charconv>

namespace memspy::daemon {
namespace {

constexpr std::size_t kMostHeaders = 100, kMostParts = 16, kMostQueries = 16;

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return out;
}

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

// nullopt: an escape that is none, or a byte that no path of ours has.
std::optional<std::string> decoded(std::string_view text, bool plus_is_blank) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    char c = text[i];
    if (c == '%') {
      if (i + 2 >= text.size()) return std::nullopt;
      const int high = hex_digit(text[i + 1]);
      const int low = hex_digit(text[i + 2]);
      if (high < 0 || low < 0) return std::nullopt;
      c = static_cast<char>(high * 16 + low);
      i += 2;
    } else if (c == '+' && plus_is_blank) {
      c = ' ';
    }
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) return std::nullopt;
    out += c;
  }
  return out;
}

bool take_query(std::string_view text, HttpRequest& request) {
  while (!text.empty()) {
    const auto end = std::min(text.find('&'), text.size());
    const std::string_view pair = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    const auto equals = std::min(pair.find('='), pair.size());
    const auto key = decoded(pair.substr(0, equals), true);
    const auto value = decoded(pair.substr(std::min(equals + 1, pair.size())), true);
    if (!key || !value || request.query.size() >= kMostQueries) return false;
    request.query[*key] = *value;
  }
  return true;
}

bool take_target(std::string_view target, HttpRequest& request) {
  if (!target.starts_with('/')) return false;
  const auto mark = target.find('?');
  if (mark != std::string_view::npos && !take_query(target.substr(mark + 1), request)) return false;
  std::string_view path = target.substr(1, mark == std::string_view::npos ? mark : mark - 1);
  while (!path.empty()) {
    const auto end = std::min(path.find('/'), path.size());
    const auto part = decoded(path.substr(0, end), false);
    path.remove_prefix(std::min(end + 1, path.size()));
    // No path leads to a file; these are refused all the same.
    if (!part || *part == "." || *part == ".." || part->find('/') != std::string::npos)
      return false;
    if (part->empty()) continue;
    if (request.path.size() >= kMostParts) return false;
    request.path.push_back(*part);
  }
  return true;
}

// "localhost:9464", "[::1]:9464"
std::string host_without_port(std::string_view host) {
  if (host.starts_with('['))
    return lower(host.substr(0, std::min(host.find(']'), host.size() - 1) + 1));
  return lower(host.substr(0, host.find(':')));
}

HttpParse refuse(int status, std::string why) { return {std::nullopt, status, std::move(why)}; }

// "" when it is fine.
std::string take_header(std::string_view line, HttpRequest& request, int& hosts) {
  const auto colon = line.find(':');
  if (colon == std::string_view::npos || colon == 0 || line.front() == ' ' || line.front() == '\t')
    return "a header is none";
  const std::string name = lower(line.substr(0, colon));
  const std::string_view value = trimmed(line.substr(colon + 1));
  if (name.find(' ') != std::string::npos || value.find('\0') != std::string_view::npos)
    return "a header is none";
  if (name == "host") {
    request.host = host_without_port(value);
    ++hosts;
  }
  if (name == "authorization") request.authorization = value;
  if (name == "transfer-encoding" || (name == "content-length" && value != "0"))
    return "a request has no body here";
  return "";
}

std::string_view next_line(std::string_view& text) {
  const auto end = text.find('\n');
  std::string_view line = text.substr(0, end);
  text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  if (line.ends_with('\r')) line.remove_suffix(1);
  return line;
}

}  // namespace

bool http_head_complete(std::string_view bytes) {
  return bytes.find("\r\n\r\n") != std::string_view::npos ||
         bytes.find("\n\n") != std::string_view::npos;
}

HttpParse parse_http_request(std::string_view bytes) {
  if (bytes.size() > kLongestHttpRequest) return refuse(431, "the request is too long");
  HttpRequest request;
  const std::string_view first = next_line(bytes);
  const auto method_end = first.find(' ');
  const auto target_end = first.rfind(' ');
  if (method_end == std::string_view::npos || target_end == method_end)
    return refuse(400, "that is no request");
  const std::string_view method = first.substr(0, method_end);
  const std::string_view version = first.substr(target_end + 1);
  if (version != "HTTP/1.1" && version != "HTTP/1.0") return refuse(505, "HTTP/1.1 is spoken here");
  if (method != "GET" && method != "HEAD") return refuse(405, "only GET is done here");
  request.head = method == "HEAD";
  if (!take_target(first.substr(method_end + 1, target_end - method_end - 1), request))
    return refuse(400, "the path makes no sense");
  int hosts = 0;
  std::size_t headers = 0;
  for (std::string_view line = next_line(bytes); !line.empty(); line = next_line(bytes)) {
    if (++headers > kMostHeaders) return refuse(431, "there are too many headers");
    if (auto why = take_header(line, request, hosts); !why.empty()) return refuse(400, why);
  }
  if (hosts > 1 || (hosts == 0 && version == "HTTP/1.1"))
    return refuse(400, "there is not one Host");
  return {std::move(request), 200, ""};
}

std::optional<long> http_number(std::string_view text) {
  long value = 0;
  if (text.empty() || text.size() > 9) return std::nullopt;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size() || value < 0) return std::nullopt;
  return value;
}

bool same_secret(std::string_view given, std::string_view wanted) {
  unsigned differences = given.size() == wanted.size() ? 0 : 1;
  for (std::size_t i = 0; i < given.size(); ++i) {
    const char other = wanted.empty() ? '\0' : wanted[i % wanted.size()];
    differences |= static_cast<unsigned char>(given[i]) ^ static_cast<unsigned char>(other);
  }
  return differences == 0 && !wanted.empty();
}

}  // namespace memspy::daemon
