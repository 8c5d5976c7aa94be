#include "cli/daemon_view.h"

#include <spdlog/fmt/fmt.h>

#include <cmath>

#include "base/byte_units.h"
#include "base/duration.h"
#include "cli/process_facts.h"
#include "daemon/json.h"
#include "report/display.h"

namespace memspy::cli {
namespace {

using daemon::member;

std::string text_of(const Json& json, const char* key) {
  return printable(member<std::string>(json, key).value_or(""));
}

double number_of(const Json& json, const char* key) {
  return member<double>(json, key).value_or(0);
}

std::string bytes_of(const Json& json, const char* key) {
  const auto bytes = member<double>(json, key);
  return bytes ? format_bytes(static_cast<std::uint64_t>(std::max(*bytes, 0.0))) : "-";
}

std::string time_of(const Json& json, const char* key) {
  return format_duration(std::chrono::nanoseconds(
      static_cast<std::int64_t>(1e9 * member<double>(json, key).value_or(0))));
}

Json object_of(const Json& json, const char* key) {
  return json.is_object() && json.contains(key) ? json[key] : Json::object();
}

std::string trouble_line(const char* label, const std::string& text) {
  return text.empty() ? "" : fmt::format("{:<11} {}\n", label, text);
}

// "near-limit, leak"
std::string texts_of(const Json& json, const char* key) {
  std::string text;
  for (const Json& one : object_of(json, key))
    if (one.is_string()) text += (text.empty() ? "" : ", ") + printable(one.get<std::string>());
  return text;
}

std::string target_line(const Json& target) {
  const Json tracer = object_of(target, "tracer");
  const auto rate = member<double>(target, "growth_bytes_per_minute");
  std::string state = text_of(tracer, "state");
  if (const std::string engine = text_of(tracer, "engine"); !engine.empty()) state += " " + engine;
  const std::string alerts = texts_of(target, "alerts_firing");
  return fmt::format("{:>8} {:>8} {:<16.16} {:>9} {:>11} {:<14.14} {:<16.16} {}",
                     number_of(target, "pid"), number_of(target, "master_pid"),
                     text_of(target, "service"),
                     bytes_of(object_of(target, "figures"), "rss_bytes"),
                     rate ? format_signed_bytes(std::llround(*rate)) : "-", state,
                     alerts.empty() ? "-" : alerts, text_of(target, "command_line"));
}

}  // namespace

std::string daemon_status_text(const Json& status) {
  std::string text;
  text += fmt::format("{:<11} {} since {}, memspy {}\n", "daemon", number_of(status, "pid"),
                      time_of(status, "uptime_seconds"), text_of(status, "version"));
  text += fmt::format("{:<11} {}, every {}, found by {}\n", "targets", number_of(status, "targets"),
                      time_of(status, "interval_seconds"), text_of(status, "discovery"));
  text += fmt::format("{:<11} {} running, {} crashed\n", "tracers", number_of(status, "tracers"),
                      number_of(status, "tracer_crashes"));
  text += fmt::format("{:<11} {} firing; {} on their way, {} told nobody\n", "alerts",
                      number_of(status, "alerts_firing"), number_of(status, "deliveries_waiting"),
                      number_of(status, "deliveries_given_up"));
  text +=
      fmt::format("{:<11} {} CPU and {} of its own, {} and {} of its tracers\n", "cost",
                  time_of(status, "own_cpu_seconds"), bytes_of(status, "own_memory_bytes"),
                  time_of(status, "tracers_cpu_seconds"), bytes_of(status, "tracers_memory_bytes"));
  text += fmt::format("{:<11} {}, and {} of evidence; {} old segments removed, {} ticks lost\n",
                      "recorded", bytes_of(status, "recorded_bytes"),
                      bytes_of(status, "evidence_bytes"), number_of(status, "removed_files"),
                      number_of(status, "lost_ticks"));
  if (const Json push = object_of(status, "push"); !push.empty()) {
    const std::string trouble = text_of(push, "trouble");
    text += fmt::format("{:<11} {} profiles taken, {} refused; {} behind{}\n", "push",
                        number_of(push, "profiles"), number_of(push, "refused"),
                        time_of(push, "behind_seconds"), trouble.empty() ? "" : ": " + trouble);
  }
  text += trouble_line("config", text_of(status, "config"));
  text += trouble_line("thrift", text_of(status, "thrift"));
  text += trouble_line("disk", text_of(status, "recorder_trouble"));
  text += trouble_line("refused", text_of(status, "config_error"));
  if (const std::string keys = texts_of(status, "restart_needed"); !keys.empty())
    text += fmt::format("{:<11} needed for what changed: {}\n", "restart", keys);
  return text;
}

std::string daemon_targets_text(const Json& targets, std::size_t width) {
  std::string text =
      fmt::format("{:>8} {:>8} {:<16} {:>9} {:>11} {:<14} {:<16} {}\n", "PID", "MASTER", "SERVICE",
                  "RSS", "GROWTH/MIN", "TRACER", "ALERTS", "COMMAND");
  const Json list = object_of(targets, "targets");
  if (!list.is_array()) return text;
  for (const Json& target : list) {
    std::string line = target_line(target);
    if (width > 0 && line.size() > width) line = report::clip_middle(line, width, /*ascii=*/false);
    text += line + '\n';
  }
  return text;
}

}  // namespace memspy::cli
