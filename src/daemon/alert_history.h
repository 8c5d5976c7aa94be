// Alerts that were told, of the targets of now and of a while ago: what a page marks in its series.
//
// Any thread.
#pragma once

#include <chrono>
#include <deque>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "daemon/recorded_window.h"
#include "memspy/process.h"
#include "memspy/result.h"
#include "sinks/page.h"

namespace memspy::daemon {

struct PastAlert {
  ProcessIdentity target;
  sinks::PageAlert alert;
  std::string id = {};                     // of the firing; what it tells is told of this one
  std::string service = {}, process = {};  // of the target
};

// A line of an alert log (memspy.alert/1); nullopt: it is none.
std::optional<PastAlert> parse_past_alert(const std::string& line);
// The end of a log, `most` bytes at most, without what makes no sense; ascending. kUsage: there is
// no such file, or it is no regular one.
Result<std::vector<PastAlert>> read_past_alerts(const std::string& path, std::size_t most);

class AlertHistory {
 public:
  // What the daemon before this one has told.
  void load(const std::string& path);
  void add(PastAlert alert);
  // What was told last of one alert of a target, and when that firing began.
  struct Last {
    PastAlert told;
    std::chrono::nanoseconds fired{};  // since the epoch
  };
  std::optional<Last> last(const ProcessIdentity& target, std::string_view name) const;
  // What was told to fire, and not to be resolved.
  std::vector<PastAlert> open() const;
  // All that was told of a target, ascending.
  std::vector<PastAlert> all_of(const ProcessIdentity& target) const;
  // Those of a target in the window, and what fired before it and was not resolved by then.
  std::vector<sinks::PageAlert> of(const ProcessIdentity& target, WallWindow window) const;

 private:
  mutable std::mutex mutex_;
  std::deque<PastAlert> alerts_;  // ascending
};

}  // namespace memspy::daemon
