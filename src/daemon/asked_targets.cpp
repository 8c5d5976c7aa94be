#include "daemon/asked_targets.h"

#include "base/file.h"
#include "daemon/json.h"
#include "daemon/whole_file.h"

namespace memspy::daemon {

AskedTargets::AskedTargets(std::string path) : path_(std::move(path)) {
  constexpr std::size_t kCap = 1U << 20;
  const auto text = read_file(path_, kCap);
  if (!text.has_value()) return;
  const Json json = parse_json(*text);
  if (!json.is_array()) return;
  for (const Json& each : json) {
    const auto pid = member<pid_t>(each, "pid");
    const auto start = member<std::uint64_t>(each, "start_ticks");
    const auto until = member<std::int64_t>(each, "until");
    if (pid && *pid > 0 && start && until)
      until_[{Pid{*pid}, *start}] = std::chrono::seconds(*until);
  }
}

Result<Unit> AskedTargets::write() const {
  Json json = Json::array();
  for (const auto& [identity, until] : until_)
    json.push_back({{"pid", identity.pid.value},
                    {"start_ticks", identity.start_ticks},
                    {"until", until.count()}});
  return write_whole_file(path_, json_text(json) + '\n');
}

Result<Unit> AskedTargets::add(const ProcessIdentity& identity, std::chrono::seconds until) {
  until_[identity] = until;
  return write();
}

void AskedTargets::forget(const ProcessIdentity& identity) {
  if (until_.erase(identity) > 0) (void)write();
}

void AskedTargets::forget_expired(std::chrono::seconds now) {
  if (std::erase_if(until_, [&](const auto& entry) { return entry.second <= now; }) > 0)
    (void)write();
}

}  // namespace memspy::daemon
