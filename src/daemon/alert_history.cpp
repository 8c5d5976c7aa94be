#include "daemon/alert_history.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <ctime>
#include <iterator>
#include <map>

#include "base/unique_fd.h"
#include "daemon/json.h"

namespace memspy::daemon {
namespace {

using std::chrono::nanoseconds;

constexpr std::size_t kMostAlertsKept = 2000;
constexpr std::size_t kLogEnd = 1U << 20;  // bytes

// "2023-11-14T22:13:20.250Z", as recording::utc_time() writes it.
std::optional<nanoseconds> time_of(const std::string& text) {
  std::tm parts{};
  const char* rest = ::strptime(text.c_str(), "%Y-%m-%dT%H:%M:%S", &parts);
  if (rest == nullptr) return std::nullopt;
  nanoseconds time = std::chrono::seconds(::timegm(&parts));
  nanoseconds digit = std::chrono::milliseconds(100);
  if (*rest == '.')
    for (++rest; *rest >= '0' && *rest <= '9' && digit.count() > 0; ++rest, digit /= 10)
      time += digit * (*rest - '0');
  return time;
}

}  // namespace

std::optional<PastAlert> parse_past_alert(const std::string& line) {
  const Json json = parse_json(line);
  if (member<std::string>(json, "schema") != "memspy.alert/1") return std::nullopt;
  const auto pid = member<pid_t>(json, "pid");
  const auto time = time_of(member<std::string>(json, "time").value_or(""));
  if (!pid || !time) return std::nullopt;
  const auto text = [&](const char* key) { return member<std::string>(json, key).value_or(""); };
  const auto start = member<std::uint64_t>(json, "start_ticks").value_or(0);
  return PastAlert{{Pid{*pid}, start},
                   {*time, text("alert"), text("when"), text("state")},
                   text("id"),
                   text("service"),
                   text("name")};
}

Result<std::vector<PastAlert>> read_past_alerts(const std::string& path, std::size_t most) {
  // A log may be a pipe to somebody: that is not for reading, nor worth waiting for.
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  struct stat info {};
  if (!fd.valid() || ::fstat(fd.get(), &info) != 0 || !S_ISREG(info.st_mode))
    return make_error(Errc::kUsage, "cannot read the alerts " + path);
  const auto size = static_cast<std::size_t>(info.st_size);
  std::string text(std::min(size, most), '\0');
  const ssize_t count =
      ::pread(fd.get(), text.data(), text.size(), static_cast<off_t>(size - text.size()));
  text.resize(count > 0 ? static_cast<std::size_t>(count) : 0);
  if (size > most) text.erase(0, std::min(text.find('\n'), text.size()));  // half a line
  std::vector<PastAlert> alerts;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    if (auto alert = parse_past_alert(text.substr(at, end - at)))
      alerts.push_back(std::move(*alert));
    at = end + 1;
  }
  std::stable_sort(alerts.begin(), alerts.end(), [](const PastAlert& a, const PastAlert& b) {
    return a.alert.time < b.alert.time;
  });
  return alerts;
}

void AlertHistory::load(const std::string& path) {
  auto past = read_past_alerts(path, kLogEnd);
  if (!past.has_value()) return;  // the first daemon here
  for (PastAlert& alert : *past) add(std::move(alert));
}

void AlertHistory::add(PastAlert alert) {
  const std::lock_guard lock(mutex_);
  if (alerts_.size() >= kMostAlertsKept) alerts_.pop_front();
  alerts_.push_back(std::move(alert));
}

std::vector<PastAlert> AlertHistory::open() const {
  const std::lock_guard lock(mutex_);
  std::map<std::string, PastAlert> firing;  // by id
  for (const PastAlert& past : alerts_) {
    if (past.alert.state == "firing")
      firing.insert_or_assign(past.id, past);
    else
      firing.erase(past.id);
  }
  std::vector<PastAlert> found;
  for (auto& [id, past] : firing) found.push_back(std::move(past));
  return found;
}

std::vector<PastAlert> AlertHistory::all_of(const ProcessIdentity& target) const {
  const std::lock_guard lock(mutex_);
  std::vector<PastAlert> found;
  std::copy_if(alerts_.begin(), alerts_.end(), std::back_inserter(found),
               [&](const PastAlert& past) { return past.target == target; });
  return found;
}

std::optional<AlertHistory::Last> AlertHistory::last(const ProcessIdentity& target,
                                                     std::string_view name) const {
  const std::lock_guard lock(mutex_);
  std::optional<Last> last;
  for (auto past = alerts_.rbegin(); past != alerts_.rend(); ++past) {
    if (past->target != target || past->alert.name != name) continue;
    if (!last) last = Last{*past, past->alert.time};
    if (past->id != last->told.id) break;
    last->fired = past->alert.time;  // of what has the same id the first is the firing
  }
  return last;
}

std::vector<sinks::PageAlert> AlertHistory::of(const ProcessIdentity& target,
                                               WallWindow window) const {
  std::vector<sinks::PageAlert> found;
  const std::lock_guard lock(mutex_);
  for (const PastAlert& past : alerts_) {
    if (past.target != target || past.alert.time > window.to) continue;
    // Of what came before the window only its last word counts.
    if (past.alert.time < window.from)
      std::erase_if(found, [&](const auto& before) { return before.name == past.alert.name; });
    if (past.alert.time >= window.from || past.alert.state == "firing") found.push_back(past.alert);
  }
  return found;
}

}  // namespace memspy::daemon
