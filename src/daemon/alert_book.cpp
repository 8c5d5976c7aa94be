#include "daemon/alert_book.h"

#include <fnmatch.h>

#include <algorithm>

#include <spdlog/fmt/fmt.h>

#include "recording/text.h"

namespace memspy::daemon {
namespace {

using C = SeriesColumn;

bool asks_the_same(const AlertConfig& a, const AlertConfig& b) {
  return a.name == b.name && a.when == b.when;
}

}  // namespace

bool is_about(const AlertConfig& alert, const std::string& service) {
  return alert.service.empty() || ::fnmatch(alert.service.c_str(), service.c_str(), 0) == 0;
}

AlertFigures alert_figures(const TargetStatus& target) {
  AlertFigures figures;
  figures.rss = target.figures[C::kRssBytes];
  figures.pss = target.figures[C::kPssBytes];
  figures.uss = target.figures[C::kUssBytes];
  figures.swap = target.figures[C::kSwapBytes];
  figures.threads = target.figures[C::kThreads];
  figures.open_files = target.figures[C::kOpenFiles];
  figures.limit = target.figures[C::kCgroupLimitBytes];
  figures.usage = target.group_bytes;
  figures.growth_per_minute = target.growth_per_minute;
  figures.usage_growth_per_minute = target.group_growth_per_minute;
  if (target.tracer == "tracing") {
    figures.heap_used = target.traced.heap_used_bytes;
    figures.heap_objects = target.traced.heap_blocks;
  }
  return figures;
}

Json alert_json(const AlertEvent& event) {
  const TargetFacts& facts = *event.target.facts;
  Json json;
  json["schema"] = "memspy.alert/1";
  json["id"] = event.id;
  json["alert"] = event.alert.name;
  json["state"] = event.state;
  json["time"] = recording::utc_time(event.time);
  json["when"] = event.alert.when;
  json["value"] = json_or_null(event.value);
  json["note"] = event.note;
  json["labels"] = Json::object();
  for (const auto& [name, value] : event.alert.labels) json["labels"][name] = value;
  json["pid"] = facts.identity.pid.value;
  json["start_ticks"] = facts.identity.start_ticks;
  json["service"] = facts.service;
  json["master_pid"] = event.target.master.value;
  json["name"] = facts.process;
  json["container"] = facts.container;
  json["rss_bytes"] = whole_or_null(event.target.figures[C::kRssBytes]);
  json["limit_bytes"] = whole_or_null(event.target.figures[C::kCgroupLimitBytes]);
  json["growth_bytes_per_minute"] = whole_or_null(event.target.growth_per_minute);
  json["evidence"] = event.evidence;
  return json;
}

Result<std::vector<Dropped>> AlertBook::set_alerts(const std::vector<AlertConfig>& alerts) {
  std::vector<Alert> parsed;
  for (const AlertConfig& config : alerts) {
    MEMSPY_TRY(expression, parse_alert(config.when));
    parsed.push_back({config, std::move(expression)});
  }
  std::vector<Dropped> dropped;
  for (const Alert& old : alerts_) {
    for (auto& [identity, target] : targets_) {
      const auto standing = target.standings.find(old.config.name);
      if (standing == target.standings.end()) continue;
      const auto now = std::find_if(alerts.begin(), alerts.end(), [&](const AlertConfig& alert) {
        return asks_the_same(alert, old.config) && is_about(alert, target.service);
      });
      if (now != alerts.end()) {
        standing->second.state.set_cool_down(now->cool_down);
        continue;
      }
      if (standing->second.state.firing())
        dropped.push_back({standing->second.id, old.config, identity});
      target.standings.erase(standing);
    }
  }
  alerts_ = std::move(parsed);
  return dropped;
}

AlertBook::Standing AlertBook::standing_of(const Alert& alert, const ProcessIdentity& target,
                                           SteadyTime now, std::chrono::nanoseconds wall) const {
  Standing standing{AlertState(alert.expression.hold, alert.config.cool_down), ""};
  const auto last = last_told_ ? last_told_(target, alert.config.name) : std::nullopt;
  // Of another expression under this name it says nothing.
  if (!last || last->told.alert.when != alert.config.when) return standing;
  const auto ago = std::max(wall - last->fired, std::chrono::nanoseconds(0));
  standing.state.resume(last->told.alert.state == "firing", now - ago);
  standing.id = last->told.id;
  return standing;
}

std::vector<AlertEvent> AlertBook::update(const TargetStatus& target, SteadyTime now,
                                          std::chrono::nanoseconds wall) {
  std::vector<AlertEvent> events;
  if (alerts_.empty()) return events;
  OfTarget& known = targets_[target.facts->identity];
  known.service = target.facts->service;
  AlertFigures figures = alert_figures(target);
  const auto rate = [now](RateWindow& window, const std::optional<double>& figure) {
    if (figure) window.add(now, *figure);
    return figure ? window.per_minute() : std::nullopt;
  };
  figures.heap_growth_per_minute = rate(known.heap, figures.heap_used);
  figures.objects_growth_per_minute = rate(known.objects, figures.heap_objects);
  for (const Alert& alert : alerts_) {
    if (!is_about(alert.config, target.facts->service)) continue;
    auto at = known.standings.find(alert.config.name);
    if (at == known.standings.end())
      at = known.standings
               .emplace(alert.config.name, standing_of(alert, target.facts->identity, now, wall))
               .first;
    Standing& standing = at->second;
    const auto event = standing.state.update(now, holds(alert.expression, figures));
    if (event == AlertState::Event::kNone) continue;
    const bool fires = event == AlertState::Event::kFire;
    if (fires)
      standing.id = fmt::format("{}-{}-{}",
                                std::chrono::duration_cast<std::chrono::milliseconds>(wall).count(),
                                alert.config.name, target.facts->identity.pid.value);
    events.push_back({standing.id, fires ? "firing" : "resolved", alert.config, target,
                      measure(alert.expression, figures), wall, "", ""});
  }
  return events;
}

bool AlertBook::concerned(const ProcessIdentity& target, SteadyTime now) const {
  const auto it = targets_.find(target);
  return it != targets_.end() &&
         std::any_of(it->second.standings.begin(), it->second.standings.end(),
                     [&](const auto& entry) { return entry.second.state.concerned(now); });
}

std::vector<AlertEvent> AlertBook::end(const TargetStatus& target, std::chrono::nanoseconds wall,
                                       const std::string& note) {
  std::vector<AlertEvent> events;
  const auto known = targets_.find(target.facts->identity);
  if (known == targets_.end()) return events;
  for (const Alert& alert : alerts_) {
    const auto standing = known->second.standings.find(alert.config.name);
    if (standing == known->second.standings.end() || !standing->second.state.firing()) continue;
    events.push_back(
        {standing->second.id, "resolved", alert.config, target, std::nullopt, wall, note, ""});
  }
  targets_.erase(known);
  return events;
}

std::size_t AlertBook::firing() const {
  std::size_t count = 0;
  for (const auto& [identity, target] : targets_)
    for (const auto& [name, standing] : target.standings) count += standing.state.firing() ? 1 : 0;
  return count;
}

std::vector<std::string> AlertBook::firing(const ProcessIdentity& target) const {
  std::vector<std::string> names;
  const auto it = targets_.find(target);
  if (it == targets_.end()) return names;
  for (const auto& [name, standing] : it->second.standings)
    if (standing.state.firing()) names.push_back(name);
  return names;
}

}  // namespace memspy::daemon
