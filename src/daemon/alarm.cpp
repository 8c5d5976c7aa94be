#include "daemon/alarm.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>

#include <spdlog/fmt/fmt.h>

#include "procfs/proc_dir.h"

namespace memspy::daemon {
namespace {

constexpr auto kTimeToFind = std::chrono::seconds(10);  // targets, after a start

// One write: lines of several writers do not mix.
void append_line(const std::string& path, const std::string& line, const Alarm::Log& log) {
  const UniqueFd fd(
      ::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!fd.valid() ||
      ::write(fd.get(), line.data(), line.size()) != static_cast<ssize_t>(line.size()))
    log("cannot write the alert to " + path);
}

std::string oom_note(const GoneTarget& target) {
  const char* times = target.oom_kills == 1 ? "once" : "several times";
  if (!target.group.empty())
    return fmt::format("it ended, and the OOM killer struck its control group {} {} meanwhile",
                       target.group, times);
  return fmt::format(
      "it ended, and the OOM killer struck {} on this host meanwhile; its control group does not "
      "count that, so it may have been another process",
      times);
}

// As it was last; of one that is not known, who it is.
TargetStatus status_of(const DaemonStatus& last, const std::shared_ptr<const TargetFacts>& facts) {
  for (const TargetStatus& target : last.targets)
    if (target.facts->identity == facts->identity) return target;
  TargetStatus status;
  status.facts = facts;
  status.master = facts->identity.pid;
  return status;
}

std::shared_ptr<const TargetFacts> facts_of_past(const PastAlert& past) {
  auto facts = std::make_shared<TargetFacts>();
  facts->identity = past.target;
  facts->service = past.service;
  facts->process = past.process;
  return facts;
}

}  // namespace

Result<std::unique_ptr<Alarm>> Alarm::open(const Config& config, std::vector<std::string> program,
                                           Log log) {
  std::unique_ptr<Alarm> alarm(new Alarm(log));
  const AlertHistory* history = &alarm->history_;
  alarm->book_.remember_by(
      [history](const auto& target, const auto& name) { return history->last(target, name); });
  MEMSPY_CHECK(alarm->set_config(config, {}, {}));
  MEMSPY_TRY(outbox, Outbox::open(
                         config.state_dir + "/outbox",
                         [log](const Delivery& delivery, const std::atomic<bool>& ending) {
                           return deliver(delivery, ending, log);
                         },
                         log));
  alarm->outbox_ = std::move(outbox);
  alarm->history_.load(alarm->config_.alert_log);
  MEMSPY_TRY(evidence, Evidence::open(config.state_dir, std::move(program), alarm->history_, log));
  alarm->evidence_ = std::move(evidence);
  alarm->evidence_->set_most_bytes(config.recorder.evidence_bytes);
  return alarm;
}

Result<Unit> Alarm::set_config(const Config& config, const DaemonStatus& last,
                               std::chrono::nanoseconds wall) {
  MEMSPY_TRY(dropped, book_.set_alerts(config.alerts));
  config_ = config;
  if (evidence_) evidence_->set_most_bytes(config.recorder.evidence_bytes);
  if (config_.alert_log.empty()) config_.alert_log = config_.state_dir + "/alerts.jsonl";
  for (const Dropped& one : dropped) {
    auto facts = std::make_shared<TargetFacts>();
    facts->identity = one.target;
    tell({one.id, "resolved", one.alert, status_of(last, facts), std::nullopt, wall,
          "the alert was changed or removed", ""});
  }
  return Unit{};
}

void Alarm::tell(const AlertEvent& event) {
  const std::string body = json_text(alert_json(event)) + "\n";
  append_line(config_.alert_log, body, log_);
  log_(fmt::format("alert {} {}: {} ({}, service {}){}", event.alert.name, event.state,
                   event.target.facts->identity.pid.value, event.target.facts->process,
                   event.target.facts->service, event.note.empty() ? "" : ": " + event.note));
  history_.add({event.target.facts->identity,
                {event.time, event.alert.name, event.alert.when, event.state},
                event.id,
                event.target.facts->service,
                event.target.facts->process});
  send_on(event);
}

void Alarm::send_on(const AlertEvent& event) {
  Delivery delivery;
  delivery.body = json_text(alert_json(event)) + "\n";
  delivery.created = event.time;
  if (!event.alert.hook.empty()) {
    delivery.hook = event.alert.hook;
    outbox_->add(delivery);
    delivery.hook.clear();
  }
  if (event.alert.post.empty()) return;
  delivery.post = event.alert.post;
  outbox_->add(delivery);
}

void Alarm::want_evidence(AlertEvent& event, bool alive) {
  if (!event.alert.evidence) return;
  event.evidence = evidence_->folder_of(event.id);
  wanted_.push_back({event,
                     {event.time - config_.recorder.keep, event.time},
                     {event.time - config_.recorder.history, event.time},
                     alive});
}

// A target can have one tracer: who looks at it for evidence takes its place for a while.
void Alarm::order_evidence(Watchlist& targets) {
  for (auto& [pid, target] : targets.all())
    target.held = target.held && evidence_->wants(target.facts->identity);
  std::erase_if(wanted_, [&](EvidenceOrder& order) {
    Watched* target = targets.find(order.event.target.facts->identity);
    if (target != nullptr && !target->gone) {
      target->held = true;
      if (target->slot.running()) return false;
    }
    // The end of the recording is what the tracer wrote last, after the alert.
    order.window.to = order.history.to = std::max(order.window.to, wall_clock_now());
    if (evidence_->add(order)) return true;
    log_("too much evidence is being gathered: that of " + order.event.id + " is left out");
    if (target != nullptr) target->held = false;
    return true;
  });
}

void Alarm::update(Watchlist& targets, const DaemonStatus& status, SteadyTime now,
                   std::chrono::nanoseconds wall) {
  for (const TargetStatus& target : status.targets) {
    const ProcessIdentity& identity = target.facts->identity;
    for (AlertEvent& event : book_.update(target, now, wall)) {
      if (event.state == "firing") want_evidence(event, /*alive=*/true);
      tell(event);
    }
    Watched* watched = targets.find(identity);
    if (watched != nullptr) watched->alerted = book_.concerned(identity, now);
  }
  look_back(now, wall);
  order_evidence(targets);
}

// Once those that live on were found again: of what the daemon before this one told, what nobody
// will tell the end of.
void Alarm::look_back(SteadyTime now, std::chrono::nanoseconds wall) {
  if (!look_back_at_) look_back_at_ = now + kTimeToFind;
  if (looked_back_ || now < *look_back_at_) return;
  looked_back_ = true;
  for (const PastAlert& past : history_.open()) {
    const std::vector<std::string> firing = book_.firing(past.target);
    if (std::find(firing.begin(), firing.end(), past.alert.name) != firing.end()) continue;
    AlertEvent event;
    event.id = past.id;
    event.state = "resolved";
    event.target = status_of({}, facts_of_past(past));
    event.time = wall;
    event.note = procfs::ProcDir().exists(past.target)
                     ? "no alert or no rule is about it any more"
                     : "the process ended while no daemon was there to see it";
    give_listeners(event.alert, past.service);
    const auto known = std::find_if(config_.alerts.begin(), config_.alerts.end(),
                                    [&](const auto& a) { return a.name == past.alert.name; });
    if (known != config_.alerts.end()) event.alert = *known;
    event.alert.name = past.alert.name;
    event.alert.when = past.alert.when;
    tell(event);
  }
}

void Alarm::note_let_go(const std::vector<std::shared_ptr<const TargetFacts>>& released,
                        const DaemonStatus& last, std::chrono::nanoseconds wall) {
  for (const auto& facts : released)
    for (const AlertEvent& event :
         book_.end(status_of(last, facts), wall, "no rule is about it any more"))
      tell(event);
}

void Alarm::note_gone(const std::vector<GoneTarget>& gone, const DaemonStatus& last,
                      std::chrono::nanoseconds wall) {
  for (const GoneTarget& target : gone) {
    const TargetStatus status = status_of(last, target.facts);
    if (target.oom_kills > 0) tell_oom_kill(target, status, wall);
    for (const AlertEvent& event : book_.end(status, wall, "the process has ended")) tell(event);
  }
}

void Alarm::tell_oom_kill(const GoneTarget& target, const TargetStatus& status,
                          std::chrono::nanoseconds wall) {
  AlertEvent event;
  event.id = fmt::format("{}-oom-killed-{}",
                         std::chrono::duration_cast<std::chrono::milliseconds>(wall).count(),
                         target.facts->identity.pid.value);
  event.state = "oom-killed";
  event.target = status;
  event.time = wall;
  event.note = oom_note(target);
  event.alert.name = "oom-killed";
  give_listeners(event.alert, target.facts->service);
  want_evidence(event, /*alive=*/false);
  tell(event);
}

// Whoever wanted to know about this service wants to know this, by the same labels.
void Alarm::give_listeners(AlertConfig& alert, const std::string& service) const {
  const auto wanted =
      std::find_if(config_.alerts.begin(), config_.alerts.end(), [&](const AlertConfig& one) {
        return is_about(one, service) && !(one.hook.empty() && one.post.empty());
      });
  if (wanted == config_.alerts.end()) return;
  alert.labels = wanted->labels;
  alert.hook = wanted->hook;
  alert.post = wanted->post;
}

}  // namespace memspy::daemon
