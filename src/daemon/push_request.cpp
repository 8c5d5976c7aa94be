#include "daemon/push_request.h"

#include <unistd.h>

#include <array>

#include <spdlog/fmt/fmt.h>

#include "base/base64.h"
#include "daemon/secret_file.h"

namespace memspy::daemon {
namespace {

std::string percent_encoded(std::string_view text) {
  std::string out;
  for (const char c : text) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       c == '-' || c == '.' || c == '_' || c == '~';
    out += plain ? std::string(1, c) : fmt::format("%{:02X}", static_cast<unsigned char>(c));
  }
  return out;
}

// What would end a label, or a list of them, in a name of Pyroscope's.
std::string label_value(std::string text) {
  for (char& c : text)
    if (static_cast<unsigned char>(c) < ' ' ||
        std::string_view("{}=,\"").find(c) != std::string::npos)
      c = '_';
  return text;
}

std::string host_name() {
  std::array<char, 256> name{};
  return ::gethostname(name.data(), name.size() - 1) == 0 ? name.data() : "";
}

long long whole_seconds(std::chrono::nanoseconds time) {
  return std::chrono::duration_cast<std::chrono::seconds>(time).count();
}

}  // namespace

std::string push_path(const HttpUrl& base, const PushConfig& config, const TargetFacts& target,
                      WallWindow window) {
  std::string name = target.service + "{";
  for (const auto& [label, value] : config.labels) name += label + "=" + label_value(value) + ",";
  name += fmt::format("host={},pid={},process={}}}", label_value(host_name()),
                      target.identity.pid.value, label_value(target.process));
  std::string path = base.path;
  while (path.ends_with('/')) path.pop_back();
  return fmt::format("{}/ingest?name={}&from={}&until={}&format=pprof&spyName=memspy", path,
                     percent_encoded(name), whole_seconds(window.from), whole_seconds(window.to));
}

Result<std::string> push_headers(const PushConfig& config) {
  std::string headers;
  if (!config.tenant.empty()) headers += "X-Scope-OrgID: " + config.tenant + "\r\n";
  if (!config.token_file.empty()) {
    MEMSPY_TRY(token, read_secret(config.token_file));
    headers += "Authorization: Bearer " + token + "\r\n";
  } else if (!config.password_file.empty()) {
    MEMSPY_TRY(password, read_secret(config.password_file));
    headers += "Authorization: Basic " + base64(config.user + ":" + password) + "\r\n";
  }
  return headers;
}

}  // namespace memspy::daemon
