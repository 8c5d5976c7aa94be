#include "daemon/status.h"

#include "base/duration.h"

namespace memspy::daemon {
namespace {

Json figures_json(const SeriesPoint& point) {
  Json json = Json::object();
  for (const SeriesColumnInfo& column : series_columns()) {
    const auto& value = point[column.column];
    if (!value) continue;
    json[std::string(column.name)] =
        column.integral ? Json(static_cast<std::int64_t>(*value)) : Json(*value);
  }
  return json;
}

Json tracer_json(const TargetStatus& target) {
  Json json;
  json["state"] = target.tracer;
  json["asked"] = target.asked;
  json["engine"] = target.engine;
  json["reason"] = target.reason;
  json["samples"] = whole_or_null(target.traced.samples);
  json["rejected"] = whole_or_null(target.traced.rejected);
  json["stopped_seconds"] = json_or_null(target.traced.stopped_seconds);
  json["cpu_seconds"] = target.tracer_cpu_seconds;
  json["trouble"] = target.traced.trouble;
  return json;
}

Json target_json(const TargetStatus& target, bool with_command) {
  const TargetFacts& facts = *target.facts;
  Json json;
  json["pid"] = facts.identity.pid.value;
  json["start_ticks"] = facts.identity.start_ticks;
  json["service"] = facts.service;
  json["master_pid"] = target.master.value;
  json["name"] = facts.process;
  json["user"] = facts.user;
  json["container"] = facts.container;
  json["python_version"] = facts.version;
  if (with_command) json["command_line"] = facts.command;
  json["growth_bytes_per_minute"] = whole_or_null(target.growth_per_minute);
  json["recorded_bytes"] = target.recorded_bytes;
  json["alerts_firing"] = target.alerts_firing;
  json["figures"] = figures_json(target.figures);
  json["tracer"] = tracer_json(target);
  return json;
}

}  // namespace

Json status_json(const DaemonStatus& status) {
  Json json;
  json["schema"] = "memspy.daemon/1";
  json["pid"] = status.pid.value;
  json["version"] = status.version;
  json["config"] = status.config_path;
  json["config_error"] = status.config_error;
  json["restart_needed"] = status.restart_needed;
  json["uptime_seconds"] = to_seconds(status.uptime);
  json["interval_seconds"] = to_seconds(status.interval);
  json["thrift"] = status.thrift;
  json["discovery"] = status.discovery;
  json["targets"] = status.targets.size();
  json["tracers"] = status.tracers;
  json["tracer_crashes"] = status.tracer_crashes;
  json["alerts_firing"] = status.alerts_firing;
  json["deliveries_waiting"] = status.deliveries_waiting;
  json["deliveries_given_up"] = status.deliveries_given_up;
  json["own_cpu_seconds"] = status.own_cpu_seconds;
  json["own_memory_bytes"] = status.own_memory_bytes;
  json["tracers_cpu_seconds"] = status.tracers_cpu_seconds;
  json["tracers_memory_bytes"] = status.tracers_memory_bytes;
  json["recorded_bytes"] = status.recorded_bytes;
  json["evidence_bytes"] = status.evidence_bytes;
  json["removed_files"] = status.removed_files;
  json["lost_ticks"] = status.lost_ticks;
  json["recorder_trouble"] = status.recorder_trouble;
  if (status.push) {
    json["push"] = {{"profiles", status.push->profiles},
                    {"refused", status.push->refused},
                    {"behind_seconds", to_seconds(status.push->behind)},
                    {"trouble", status.push->trouble}};
  }
  return json;
}

Json targets_json(const DaemonStatus& status, bool with_commands) {
  Json json;
  json["schema"] = "memspy.targets/1";
  json["targets"] = Json::array();
  for (const TargetStatus& target : status.targets)
    json["targets"].push_back(target_json(target, with_commands));
  return json;
}

}  // namespace memspy::daemon
