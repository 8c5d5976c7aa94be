#include "daemon/watchlist.h"

#include <poll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <tuple>

#include <spdlog/fmt/fmt.h>

#include "procfs/cgroup_view.h"

namespace memspy::daemon {
namespace {

constexpr int kMostGenerations = 8;  // a PID that was given anew may close a circle
constexpr auto kOomPause = std::chrono::seconds(30);
// A segment of a tracer is an eighth of what its target may have at most.
constexpr std::uint64_t kSegmentsPerTarget = 8;

std::shared_ptr<const TargetFacts> facts_of(const Finder::Found& found) {
  auto facts = std::make_shared<TargetFacts>();
  const Candidate& candidate = found.candidate;
  facts->identity = candidate.identity;
  facts->service = found.rule.name;
  facts->process = candidate.process;
  facts->command = candidate.command;
  facts->user = candidate.user.empty() ? std::to_string(candidate.uid) : candidate.user;
  facts->container = candidate.container;
  facts->version = candidate.version;
  return facts;
}

ProcessRecord record_of(const TargetFacts& facts, const Candidate& candidate, ProcessIndex index) {
  ProcessRecord record;
  record.index = index;
  record.identity = facts.identity;
  record.name = facts.process;
  record.command_line = {facts.command};
  record.python_version = facts.version;
  record.executable = candidate.executable;
  return record;
}

// Who has a tracer first, where not all can.
std::tuple<bool, bool, double> urgency(const Watched& target) {
  return {target.asked_until.has_value(), target.alerted,
          target.figures->growth_per_minute().value_or(0)};
}

}  // namespace

Watchlist::~Watchlist() {
  for (auto& [pid, target] : targets_)
    if (!target.gone) loop_.remove(target.pidfd.get());
}

std::vector<std::shared_ptr<const TargetFacts>> Watchlist::set_config(const Config& config) {
  config_ = config;
  std::vector<std::shared_ptr<const TargetFacts>> released;
  for (auto& [pid, target] : targets_) {
    target.gate.set_config(config.tracing);
    const auto rule = rule_for(target.candidate);
    if (rule && rule->name == target.facts->service) {
      target.rule = *rule;
    } else if (!target.gone && !target.asked_until) {
      let_go(target);
      released.push_back(target.facts);
      log_(fmt::format("{} ({}) is let go: the rules have changed", pid.value,
                       target.facts->process));
    }
  }
  return released;
}

std::optional<Rule> Watchlist::rule_for(const Candidate& candidate) const {
  const Candidate* each = &candidate;
  for (int generation = 0; generation < kMostGenerations; ++generation) {
    if (const auto rule = find_rule(config_.rules, *each)) return config_.rules[*rule];
    const Watched* parent = find(each->ppid);
    if (parent == nullptr || parent->released ||
        parent->candidate.executable != candidate.executable)
      return std::nullopt;
    each = &parent->candidate;
  }
  return std::nullopt;
}

// What is told of it from now on comes from its tracer, which ends.
void Watchlist::let_go(Watched& target) {
  loop_.remove(target.pidfd.get());
  target.gone = true;
  target.released = true;
  forgotten_.push_back(target.recorded_as);
}

// A pidfd, and the proof that it is of this very process: a pid may be another's by now.
Result<UniqueFd> Watchlist::open_identity(const ProcessIdentity& identity) const {
  UniqueFd fd(static_cast<int>(::syscall(SYS_pidfd_open, identity.pid.value, 0)));
  const int error = errno;
  if (!fd.valid()) return make_error(Errc::kNoSuchProcess, "the process has ended", error);
  MEMSPY_TRY(now, proc_.identity(identity.pid));
  if (now != identity) return make_error(Errc::kNoSuchProcess, "the pid is another's by now");
  return fd;
}

// A master and the workers that it forked are one service, whichever was found first.
void Watchlist::join_tree(Watched& target) {
  const Pid pid = target.facts->identity.pid;
  target.master = pid;
  if (const Watched* parent = find(target.candidate.ppid);
      parent != nullptr && parent->facts->service == target.facts->service)
    target.master = parent->master;
  for (auto& [other, child] : targets_)
    if (child.candidate.ppid == pid && child.facts->service == target.facts->service &&
        child.master == other)
      child.master = target.master;
}

Watched* Watchlist::add(const Finder::Found& found, SteadyTime now) {
  const ProcessIdentity& identity = found.candidate.identity;
  const auto known = targets_.find(identity.pid);
  if (known != targets_.end()) {
    if (known->second.facts->identity == identity && !known->second.released) return &known->second;
    on_end(identity.pid);
    targets_.erase(identity.pid);
  }
  auto pidfd = open_identity(identity);
  if (!pidfd.has_value()) return nullptr;
  const ProcessIndex index{++next_index_};
  const auto at = targets_.emplace(
      identity.pid, Watched{facts_of(found),
                            found.candidate,
                            found.rule,
                            identity.pid,
                            std::move(*pidfd),
                            std::make_unique<TargetFigures>(proc_, identity.pid, now),
                            GrowthGate(config_.tracing, now),
                            {},
                            index,
                            {}});
  Watched& target = at.first->second;
  const Pid pid = identity.pid;
  if (auto added = loop_.add(target.pidfd.get(), [this, pid] { on_end(pid); });
      !added.has_value()) {
    targets_.erase(pid);
    return nullptr;
  }
  join_tree(target);
  target.cgroups = proc_.text(pid, "cgroup").value_or("");
  target.oom_count = count_oom_kills(target);
  fresh_.push_back(record_of(*target.facts, found.candidate, index));
  // It was traced until a moment ago: by a daemon that was killed, or restarted.
  if (const auto age = shelf_.newest_age(identity); age && *age < config_.tracing.calm) {
    if (const auto statm = proc_.statm(pid)) target.gate.resume(now, statm->rss_bytes());
  }
  log_(fmt::format("found {} ({}, service {})", pid.value, target.facts->process, found.rule.name));
  return &target;
}

const Watched* Watchlist::find(Pid pid) const {
  const auto it = targets_.find(pid);
  return it == targets_.end() ? nullptr : &it->second;
}

Watched* Watchlist::find(Pid pid) {
  const auto it = targets_.find(pid);
  return it == targets_.end() ? nullptr : &it->second;
}

Watched* Watchlist::find(const ProcessIdentity& identity) {
  Watched* target = find(identity.pid);
  return target != nullptr && target->facts->identity == identity ? target : nullptr;
}

void Watchlist::on_end(Pid pid) {
  Watched* target = find(pid);
  if (target == nullptr || target->gone) return;
  let_go(*target);
  target->released = false;
  GoneTarget gone{target->facts, 0, ""};
  const OomCount now = count_oom_kills(*target);
  const auto risen = [](std::optional<std::uint64_t> before, std::optional<std::uint64_t> after) {
    return before && after ? *after - std::min(*after, *before) : std::uint64_t{0};
  };
  // A group that counted may be gone by now with its last process: then nobody knows.
  const OomCount& before = target->oom_count;
  if (before.in_group) {
    gone.group = before.group;
    gone.oom_kills = risen(before.in_group, now.in_group);
  } else if (!now.in_group) {
    gone.oom_kills = risen(before.on_host, now.on_host);
  }
  left_.push_back(std::move(gone));
  log_(fmt::format("{} ({}) has ended", pid.value, target->facts->process));
}

// The root group, and one without the memory controller, have no counter; the kernel has one of all
// its kills.
OomCount Watchlist::count_oom_kills(const Watched& target) const {
  OomCount count;
  count.on_host = procfs::parse_cgroup_key(proc_.setting("vmstat").value_or(""), "oom_kill");
  const auto memory = procfs::cgroup_memory_of(proc_, target.cgroups);
  if (!memory.has_value()) return count;
  count.in_group = memory->oom_kills;
  count.group = memory->group;
  return count;
}

SeriesTick Watchlist::tick(SteadyTime now, std::chrono::nanoseconds time) {
  SeriesTick tick;
  tick.time = time;
  for (auto& [pid, target] : targets_) {
    if (target.gone) continue;
    if (auto point = target.figures->tick(now, target.recorded_as, time))
      tick.points.push_back(*point);
    target.gate.update(now, target.figures->rss_bytes());
    if (now < target.next_oom_look) continue;
    target.next_oom_look = now + kOomPause;
    // Asked again now and then: another process may have been killed long before.
    target.oom_count = count_oom_kills(target);
  }
  tick.fresh = std::exchange(fresh_, {});
  tick.gone = std::exchange(forgotten_, {});
  return tick;
}

bool Watchlist::wanted(const Watched& target, SteadyTime now) const {
  if (target.released) return false;
  if (target.gone) return target.slot.running();  // it ends by itself, and says how
  if (target.held) return false;
  const bool asked = target.asked_until && now < *target.asked_until;
  return asked || target.alerted || target.rule.trace_always || target.gate.growing();
}

TracerOrder Watchlist::order_for(const Watched& target, const std::string& folder) const {
  TracerOrder order;
  order.target = target.facts->identity;
  order.folder = folder;
  order.interval = std::max<std::chrono::nanoseconds>(config_.interval, std::chrono::seconds(1));
  order.segment = config_.recorder.segment;
  order.segment_bytes = config_.recorder.per_target_bytes / kSegmentsPerTarget;
  order.stopped_percent = config_.budget.stopped_percent;
  return order;
}

void Watchlist::start_tracers(SteadyTime now, unsigned room) {
  std::vector<Watched*> ready;
  for (auto& [pid, target] : targets_)
    if (!target.gone && target.slot.ready(now)) ready.push_back(&target);
  std::stable_sort(ready.begin(), ready.end(),
                   [](const auto* a, const auto* b) { return urgency(*a) > urgency(*b); });
  for (std::size_t i = room; i < ready.size(); ++i)
    ready[i]->slot.set_waiting(
        "as many tracers run as may: tracing.most, or the daemon's own budget");
  if (ready.size() > room) ready.resize(room);
  for (Watched* target : ready) {
    const auto folder = shelf_.target_folder(target->facts->identity);
    if (!folder.has_value()) {
      target->slot.set_waiting(memspy::describe(folder.error()));
      log_(memspy::describe(folder.error()));
      continue;
    }
    target->slot.start(program_, order_for(*target, *folder), now);
  }
}

void Watchlist::trace(SteadyTime now, unsigned most) {
  std::vector<Watched*> running;
  for (auto it = targets_.begin(); it != targets_.end();) {
    Watched& target = it->second;
    target.slot.want(wanted(target, now), now);
    const auto change = target.slot.tick(proc_, now);
    crashes_ += change.crashed ? 1 : 0;
    if (!change.message.empty())
      log_(fmt::format("{} ({}): {}", it->first.value, target.facts->process, change.message));
    if (target.gone && !target.slot.running()) {
      cpu_of_gone_ += target.slot.cpu_seconds();
      it = targets_.erase(it);
      continue;
    }
    if (target.slot.running()) running.push_back(&target);
    ++it;
  }
  if (running.size() <= most) {
    start_tracers(now, most - static_cast<unsigned>(running.size()));
    return;
  }
  // Fewer are allowed than there are: the least urgent go.
  std::stable_sort(running.begin(), running.end(),
                   [](const auto* a, const auto* b) { return urgency(*a) < urgency(*b); });
  running.resize(running.size() - most);
  for (Watched* target : running) target->slot.want(false, now);
}

void Watchlist::end_tracers(SteadyTime now) {
  for (auto& [pid, target] : targets_) {
    target.slot.want(false, now);
    target.slot.tick(proc_, now);
  }
}

bool Watchlist::any_tracer() const {
  return std::any_of(targets_.begin(), targets_.end(),
                     [](const auto& entry) { return entry.second.slot.running(); });
}

void Watchlist::describe(DaemonStatus& status, const RecorderFigures& recorded) const {
  status.tracers_cpu_seconds = cpu_of_gone_;
  status.tracer_crashes = crashes_;
  for (const auto& [pid, target] : targets_) {
    status.tracers_cpu_seconds += target.slot.cpu_seconds();
    status.tracers_memory_bytes += target.slot.memory_bytes();
    status.tracers += target.slot.running() ? 1 : 0;
    if (target.gone) continue;
    TargetStatus one;
    one.facts = target.facts;
    one.master = target.master;
    one.figures = target.figures->latest();
    one.growth_per_minute = target.figures->growth_per_minute();
    one.group_bytes = target.figures->group_bytes();
    one.group_growth_per_minute = target.figures->group_growth_per_minute();
    one.asked = target.asked_until.has_value();
    target.slot.describe(one);
    const auto bytes = recorded.bytes_of.find(owner_name(target.facts->identity));
    one.recorded_bytes = bytes == recorded.bytes_of.end() ? 0 : bytes->second;
    status.targets.push_back(std::move(one));
  }
}

}  // namespace memspy::daemon
