#include "daemon/finder.h"

#include <algorithm>

namespace memspy::daemon {
namespace {

using namespace std::chrono_literals;

constexpr auto kScanPause = 400ms;       // found, looked at and watched within a second
constexpr auto kScanBesideEvents = 30s;  // what events may have missed
constexpr std::size_t kMostLooks = 200;  // at a time; about 100 µs each

}  // namespace

Finder::~Finder() {
  if (events_) loop_.remove(events_->fd());
}

void Finder::begin(bool events) {
  if (!events) {
    how_ = "scan: events are off in the configuration";
    return;
  }
  auto opened = ProcEvents::open();
  if (!opened.has_value()) {
    how_ = "scan: " + describe(opened.error());
    return;
  }
  events_ = std::move(*opened);
  how_ = "events";
  if (auto added = loop_.add(events_->fd(), [this] { on_events(); }); !added.has_value()) {
    events_.reset();
    how_ = "scan: " + describe(added.error());
  }
}

void Finder::on_events() {
  const auto batch = events_->take();
  const auto now = std::chrono::steady_clock::now();
  for (const ProcEvent& event : batch.events) {
    if (event.kind == ProcEvent::Kind::kExit) {
      schedule_.forget(event.pid);  // a target's own end is told by its pidfd, before its tick
    } else {
      schedule_.expect(event.pid, now);
    }
  }
  if (batch.lost) next_scan_ = now;
}

void Finder::set_rules(const std::vector<Rule>& rules, SteadyTime now) {
  rules_ = rules;
  schedule_.look_again(now);
  next_scan_ = now;
}

std::vector<Finder::Found> Finder::look(SteadyTime now, const RuleOfFamily& rule_of_family) {
  if (now >= next_scan_) {
    schedule_.scan(proc_.processes(), now);
    next_scan_ = now + (events_ ? std::chrono::nanoseconds(kScanBesideEvents) : kScanPause);
  }
  std::vector<Found> found;
  const auto due = schedule_.due(now, kMostLooks);
  if (due.empty()) return found;
  const procfs::UserNames users(proc_);
  for (const Pid pid : due) {
    const auto candidate = read_candidate(proc_, users, pid);
    if (!candidate) continue;
    if (const auto rule = find_rule(rules_, *candidate))
      found.push_back({*candidate, rules_[*rule]});
    else if (auto inherited = rule_of_family(*candidate))
      found.push_back({*candidate, std::move(*inherited)});
  }
  return found;
}

SteadyTime Finder::next() const {
  const auto look = schedule_.next();
  return look ? std::min(*look, next_scan_) : next_scan_;
}

}  // namespace memspy::daemon
