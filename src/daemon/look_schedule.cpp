#include "daemon/look_schedule.h"

#include <algorithm>

namespace memspy::daemon {
namespace {

using namespace std::chrono_literals;

constexpr auto kMoment = 100ms;  // between a fork and its exec, most often
constexpr auto kFirstLookPause = 500ms;
constexpr auto kLongestLookPause = 120s;  // a shell that execs late in its life

}  // namespace

void LookSchedule::plan(Pid pid, Entry& entry, SteadyTime at) {
  queue_.erase({entry.at, pid});
  entry.at = at;
  queue_.emplace(at, pid);
}

void LookSchedule::expect(Pid pid, SteadyTime now) {
  Entry& entry = entries_[pid];
  if (entry.settled) return;
  entry.pause = kFirstLookPause;
  plan(pid, entry, now + kMoment);
}

void LookSchedule::forget(Pid pid) {
  const auto it = entries_.find(pid);
  if (it == entries_.end()) return;
  queue_.erase({it->second.at, pid});
  entries_.erase(it);
}

void LookSchedule::settle(Pid pid) {
  Entry& entry = entries_[pid];
  queue_.erase({entry.at, pid});
  entry.settled = true;
}

void LookSchedule::scan(const std::vector<Pid>& pids, SteadyTime now) {
  const std::set<Pid> there(pids.begin(), pids.end());
  for (auto it = entries_.begin(); it != entries_.end();) {
    const auto current = it++;
    // What is settled has an owner that knows better when it ends.
    if (!current->second.settled && !there.contains(current->first)) forget(current->first);
  }
  for (const Pid pid : pids)
    if (!entries_.contains(pid)) expect(pid, now);
}

void LookSchedule::look_again(SteadyTime now) {
  for (auto& [pid, entry] : entries_)
    if (!entry.settled) plan(pid, entry, now);
}

std::vector<Pid> LookSchedule::due(SteadyTime now, std::size_t most) {
  std::vector<Pid> pids;
  while (!queue_.empty() && queue_.begin()->first <= now && pids.size() < most) {
    const Pid pid = queue_.begin()->second;
    Entry& entry = entries_[pid];
    pids.push_back(pid);
    plan(pid, entry, now + entry.pause);
    entry.pause = std::min<std::chrono::nanoseconds>(entry.pause * 2, kLongestLookPause);
  }
  return pids;
}

std::optional<SteadyTime> LookSchedule::next() const {
  if (queue_.empty()) return std::nullopt;
  return queue_.begin()->first;
}

}  // namespace memspy::daemon
