#include "daemon/config.h"

#include <spdlog/fmt/fmt.h>

#include <algorithm>

#include "base/file.h"
#include "daemon/alert_expression.h"
#include "daemon/http_post.h"
#include "daemon/http_server.h"
#include "daemon/table_reader.h"

namespace memspy::daemon {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t kMostRules = 1000, kMostAlerts = 1000;
constexpr std::size_t kLongestName = 64;  // of anything that has one

// Names become labels and parts of paths.
bool good_name(const std::string& name) {
  return !name.empty() && name.size() <= kLongestName &&
         std::all_of(name.begin(), name.end(), [](unsigned char c) {
           return c < 0x80 && (std::isalnum(c) != 0 || c == '-' || c == '_' || c == '.');
         });
}

constexpr const char* kBadName = "is not a name of letters, digits, \"-\", \"_\" and \".\"";

Result<Unit> read_rule(const toml::table& table, const std::string& path, Config& config) {
  TableReader reader(table, path, "target");
  Rule rule;
  reader.text("name", rule.name);
  if (!good_name(rule.name)) reader.refuse("name", kBadName);
  reader.text("process", rule.process);
  reader.text("command", rule.command);
  reader.text("executable", rule.executable);
  reader.text("user", rule.user);
  reader.text("cgroup", rule.cgroup);
  reader.text("container", rule.container);
  reader.flag("trace_always", rule.trace_always);
  config.rules.push_back(std::move(rule));
  return reader.done();
}

Result<Unit> read_alert(const toml::table& table, const std::string& path, Config& config) {
  TableReader reader(table, path, "alert");
  AlertConfig alert;
  reader.text("name", alert.name);
  if (!good_name(alert.name)) reader.refuse("name", kBadName);
  for (const AlertConfig& other : config.alerts)
    if (other.name == alert.name) reader.refuse("name", "is that of another alert");
  reader.text("when", alert.when);
  if (alert.when.empty()) {
    reader.refuse("when", "is missing: what the alert is about");
  } else if (const auto when = parse_alert(alert.when); !when.has_value()) {
    reader.refuse("when", "makes no sense: " + when.error().why);
  }
  reader.text("service", alert.service);
  reader.labels("labels", alert.labels);
  reader.duration("cool_down", alert.cool_down, 0ns);
  reader.words("hook", alert.hook);
  reader.text("post", alert.post);
  if (!alert.post.empty()) {
    if (const auto url = parse_http_url(alert.post); !url.has_value())
      reader.refuse("post", "is no URL for it: " + url.error().hint);
  }
  reader.flag("evidence", alert.evidence);
  config.alerts.push_back(std::move(alert));
  return reader.done();
}

Result<Unit> read_recorder(const toml::table& table, const std::string& path,
                           RecorderConfig& recorder) {
  TableReader reader(table, path, "recorder");
  reader.duration("keep", recorder.keep, 1min);
  // An empty segment has 80 KiB: what is kept for a day is cut into hours, not minutes.
  recorder.segment = std::clamp<std::chrono::nanoseconds>(recorder.keep / 6, 10s, 1h);
  reader.duration("segment", recorder.segment, 10s);
  reader.duration("history", recorder.history, 10min);
  reader.duration("history_interval", recorder.history_interval, 1s);
  if (recorder.history_interval * 12 > recorder.history)
    reader.refuse("history_interval", "is more than a twelfth of history");
  reader.bytes("per_target", recorder.per_target_bytes, 1U << 20);
  reader.bytes("total", recorder.total_bytes, 4U << 20);
  reader.bytes("evidence", recorder.evidence_bytes, 16U << 20);
  reader.bytes("reserve", recorder.reserve_bytes, 0);
  if (recorder.segment * 2 > recorder.keep) reader.refuse("segment", "is more than half of keep");
  return reader.done();
}

Result<Unit> read_budget(const toml::table& table, const std::string& path, BudgetConfig& budget) {
  TableReader reader(table, path, "budget");
  reader.number("cpu_percent", budget.cpu_percent, 0.1, 100);
  reader.bytes("memory", budget.memory_bytes, 16U << 20);
  reader.number("stopped_percent", budget.stopped_percent, 0.01, 50);
  return reader.done();
}

Result<Unit> read_tracing(const toml::table& table, const std::string& path,
                          TracingConfig& tracing) {
  TableReader reader(table, path, "tracing");
  reader.duration("settle", tracing.settle, 0ns);
  reader.duration("calm", tracing.calm, 5s);
  reader.bytes("step", tracing.step_bytes, 4096);
  reader.number("step_percent", tracing.step_percent, 0, 100);
  reader.count("most", tracing.most, 0, 256);
  return reader.done();
}

Result<Unit> read_http(const toml::table& table, const std::string& path, HttpConfig& http) {
  TableReader reader(table, path, "http");
  reader.text("listen", http.listen);
  reader.text("token_file", http.token_file);
  if (!http.listen.empty()) {
    const auto address = parse_http_address(http.listen);
    if (!address.has_value()) {
      reader.refuse("listen", "is no address with a port, as \"127.0.0.1:9464\"");
    } else if (!address->loopback && http.token_file.empty()) {
      reader.refuse("listen",
                    "is for others than this host: that takes a token_file, since whoever "
                    "can connect could read what the targets do");
    }
  }
  return reader.done();
}

bool good_label(const std::string& name) {
  return !name.empty() && name.size() <= kLongestName &&
         std::isdigit(static_cast<unsigned char>(name[0])) == 0 &&
         std::all_of(name.begin(), name.end(), [](unsigned char c) {
           return c < 0x80 && (std::isalnum(c) != 0 || c == '_');
         });
}

Result<Unit> read_push(const toml::table& table, const std::string& path, PushConfig& push) {
  TableReader reader(table, path, "push");
  reader.text("url", push.url);
  const auto url = parse_http_url(push.url);
  if (!url.has_value() || url->path.find_first_of("?#") != std::string::npos)
    reader.refuse("url",
                  "is no URL for it, as http://127.0.0.1:4040: https is the business of a "
                  "proxy or an agent on this host");
  reader.duration("interval", push.interval, 1s);
  reader.text("service", push.service);
  reader.labels("labels", push.labels);
  for (const auto& [name, value] : push.labels) {
    if (!good_label(name)) reader.refuse("labels", "has a name that is none: " + name);
    if (name == "host" || name == "pid" || name == "process")
      reader.refuse("labels", "has one that every profile has: " + name);
  }
  reader.text("tenant", push.tenant);
  if (!std::all_of(push.tenant.begin(), push.tenant.end(),
                   [](unsigned char c) { return c > ' ' && c < 0x7f; }))
    reader.refuse("tenant", "is no name of a tenant");
  reader.text("token_file", push.token_file);
  reader.text("user", push.user);
  reader.text("password_file", push.password_file);
  if (push.user.empty() != push.password_file.empty())
    reader.refuse("user", "and password_file go together");
  if (!push.token_file.empty() && !push.user.empty())
    reader.refuse("token_file", "and user: one of them, please");
  return reader.done();
}

Result<Unit> read_sections(TableReader& top, const std::string& path, Config& config) {
  if (const auto* table = top.section("recorder"))
    MEMSPY_CHECK(read_recorder(*table, path, config.recorder));
  if (const auto* table = top.section("budget"))
    MEMSPY_CHECK(read_budget(*table, path, config.budget));
  if (const auto* table = top.section("tracing"))
    MEMSPY_CHECK(read_tracing(*table, path, config.tracing));
  if (const auto* table = top.section("http")) MEMSPY_CHECK(read_http(*table, path, config.http));
  if (const auto* table = top.section("push")) MEMSPY_CHECK(read_push(*table, path, config.push));
  const auto rules = top.sections("target");
  if (rules.size() > kMostRules) top.refuse("target", "are too many");
  for (const auto* table : rules) MEMSPY_CHECK(read_rule(*table, path, config));
  const auto alerts = top.sections("alert");
  if (alerts.size() > kMostAlerts) top.refuse("alert", "are too many");
  for (const auto* table : alerts) MEMSPY_CHECK(read_alert(*table, path, config));
  return Unit{};
}

Result<Config> read_table(const toml::table& table, const std::string& path) {
  Config config;
  config.path = path;
  TableReader top(table, path, "");
  top.text("state_dir", config.state_dir);
  top.text("socket", config.socket);
  top.duration("interval", config.interval, 100ms);
  top.flag("events", config.events);
  top.text("alert_log", config.alert_log);
  if (!config.state_dir.starts_with('/')) top.refuse("state_dir", "is not an absolute path");
  if (!config.socket.starts_with('/')) top.refuse("socket", "is not an absolute path");
  MEMSPY_CHECK(read_sections(top, path, config));
  if (config.rules.empty()) top.refuse("target", "is missing: nothing would be watched");
  MEMSPY_CHECK(top.done());
  return config;
}

Error not_toml(const std::string& path, const toml::parse_error& error) {
  Error bad = make_error(Errc::kUsage, "the configuration " + path + " is not TOML");
  const auto& place = error.source().begin;
  bad.why = fmt::format("line {}, column {}: {}", place.line, place.column,
                        std::string_view(error.description()));
  return bad;
}

}  // namespace

Result<Config> parse_config(const std::string& text, const std::string& path) {
  try {
    return read_table(toml::parse(text, path), path);
  } catch (const toml::parse_error& error) {
    return not_toml(path, error);
  }
}

namespace {

Result<std::string> read_text(const std::string& path) {
  constexpr std::size_t kCap = 4U << 20;
  auto text = read_file(path, kCap);
  if (text.has_value()) return text;
  Error error = std::move(text).error();
  error.code = Errc::kUsage;
  error.message = "cannot read the configuration " + path;
  return error;
}

}  // namespace

Result<Config> read_config(const std::string& path) {
  MEMSPY_TRY(text, read_text(path));
  return parse_config(text, path);
}

Result<std::string> read_socket(const std::string& path) {
  MEMSPY_TRY(text, read_text(path));
  try {
    const toml::table table = toml::parse(text, path);
    return table["socket"].value_or(Config{}.socket);
  } catch (const toml::parse_error& error) {
    Error bad = not_toml(path, error);
    bad.hint = "--socket PATH says which daemon is meant";
    return bad;
  }
}

}  // namespace memspy::daemon
