#include "daemon/config_doubts.h"

#include <pwd.h>

#include <algorithm>
#include <cctype>

#include <spdlog/fmt/fmt.h>

#include "base/byte_units.h"
#include "daemon/alert_book.h"
#include "daemon/http_api.h"
#include "daemon/secret_file.h"
#include "recording/text.h"

namespace memspy::daemon {
namespace {

using recording::escape_text;

// Patterns that leave nothing out.
bool fits_everything(const Rule& rule) {
  const auto any = [](const std::string& pattern) { return pattern.empty() || pattern == "*"; };
  // "*" of a container is any container, but no process outside of one.
  return any(rule.process) && any(rule.command) && any(rule.executable) && any(rule.user) &&
         any(rule.cgroup) && rule.container.empty();
}

bool is_no_user(const std::string& user) {
  const bool number =
      std::all_of(user.begin(), user.end(), [](unsigned char c) { return std::isdigit(c) != 0; });
  return !user.empty() && !number && ::getpwnam(user.c_str()) == nullptr;
}

void doubt_rules(const std::vector<Rule>& rules, std::vector<std::string>& doubts) {
  const Rule* all = nullptr;
  for (const Rule& rule : rules) {
    const std::string name = escape_text(rule.name);
    if (all != nullptr)
      doubts.push_back(fmt::format("target {}: never reached, as {} before it fits every process",
                                   name, escape_text(all->name)));
    if (is_no_user(rule.user))
      doubts.push_back(fmt::format("target {}: there is no user {}", name, escape_text(rule.user)));
    if (!fits_everything(rule)) continue;
    if (all == nullptr)
      doubts.push_back(fmt::format("target {}: it fits every Python process of the host", name));
    all = &rule;
  }
}

bool is_of_bytes(const AlertExpression& expression) {
  using Metric = AlertExpression::Metric;
  return expression.form == AlertExpression::Form::kValue &&
         expression.metric != Metric::kLimitIn && expression.metric != Metric::kThreads &&
         expression.metric != Metric::kOpenFiles && expression.metric != Metric::kHeapObjects;
}

void doubt_alert(const Config& config, const AlertConfig& alert, std::vector<std::string>& doubts) {
  const std::string name = escape_text(alert.name);
  const bool about_any = std::any_of(config.rules.begin(), config.rules.end(),
                                     [&](const Rule& rule) { return is_about(alert, rule.name); });
  if (!about_any)
    doubts.push_back(fmt::format("alert {}: no rule has a name that fits \"{}\"", name,
                                 escape_text(alert.service)));
  constexpr double kSmallestPython = 1 << 20;
  const auto expression = parse_alert(alert.when);
  if (expression.has_value() && is_of_bytes(*expression) && expression->bound < kSmallestPython)
    doubts.push_back(fmt::format("alert {}: \"{}\" is about {}; a size has a unit, as 80MiB", name,
                                 escape_text(alert.when),
                                 format_bytes(static_cast<std::uint64_t>(expression->bound))));
}

}  // namespace

std::vector<std::string> doubts_of(const Config& config) {
  std::vector<std::string> doubts;
  doubt_rules(config.rules, doubts);
  for (const AlertConfig& alert : config.alerts) doubt_alert(config, alert, doubts);
  // These are read at each push: a daemon starts without them.
  for (const std::string& file : {config.push.token_file, config.push.password_file}) {
    if (file.empty()) continue;
    if (const auto secret = read_secret(file); !secret.has_value())
      doubts.push_back("push: " + describe(secret.error()));
  }
  return doubts;
}

Result<Unit> check_files(const Config& config) {
  if (config.http.listen.empty() || config.http.token_file.empty()) return Unit{};
  MEMSPY_CHECK(read_token(config.http.token_file));
  return Unit{};
}

}  // namespace memspy::daemon
