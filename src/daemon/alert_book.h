// All alerts of all targets: what each tick's figures mean for them.
//
// One thread, that of the loop.
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "daemon/alert_expression.h"
#include "daemon/alert_history.h"
#include "daemon/alert_state.h"
#include "daemon/config.h"
#include "daemon/json.h"
#include "daemon/rate_window.h"
#include "daemon/status.h"

namespace memspy::daemon {

// Something to be told: memspy.alert/1 is made of it.
struct AlertEvent {
  std::string id;     // of this firing; its resolve has the same
  std::string state;  // "firing", "resolved", "oom-killed"
  AlertConfig alert;
  TargetStatus target;
  std::optional<double> value;      // in the unit of the expression's bound
  std::chrono::nanoseconds time{};  // since the Unix epoch
  std::string note;                 // a sentence more; "" none
  std::string evidence;             // the folder; "" none
};
Json alert_json(const AlertEvent& event);

AlertFigures alert_figures(const TargetStatus& target);

// What fires, and is looked at no more.
struct Dropped {
  std::string id;
  AlertConfig alert;  // as it was
  ProcessIdentity target;
};

class AlertBook {
 public:
  // kUsage: an expression makes no sense. Alerts that are as they were keep their states; of the
  // others, what fired.
  Result<std::vector<Dropped>> set_alerts(const std::vector<AlertConfig>& alerts);
  // What was told last of a target's alert: asked once for each, so that what fires goes on firing
  // under a daemon that was started anew, and cools down.
  using LastTold =
      std::function<std::optional<AlertHistory::Last>(const ProcessIdentity&, const std::string&)>;
  void remember_by(LastTold last_told) { last_told_ = std::move(last_told); }
  // What has changed for this target.
  std::vector<AlertEvent> update(const TargetStatus& target, SteadyTime now,
                                 std::chrono::nanoseconds wall);
  // One of its alerts fires, or is about to.
  bool concerned(const ProcessIdentity& target, SteadyTime now) const;
  // It has ended, or is watched no more: what fires of its alerts is resolved, with that note.
  std::vector<AlertEvent> end(const TargetStatus& target, std::chrono::nanoseconds wall,
                              const std::string& note);
  std::size_t firing() const;
  std::vector<std::string> firing(const ProcessIdentity& target) const;  // names

 private:
  struct Alert {
    AlertConfig config;
    AlertExpression expression;
  };
  struct Standing {
    AlertState state;
    std::string id;
  };
  struct OfTarget {
    std::map<std::string, Standing> standings;  // by the alert's name
    std::string service;
    RateWindow heap, objects;
  };
  Standing standing_of(const Alert& alert, const ProcessIdentity& target, SteadyTime now,
                       std::chrono::nanoseconds wall) const;
  std::vector<Alert> alerts_;
  LastTold last_told_;
  std::map<ProcessIdentity, OfTarget> targets_;
};

bool is_about(const AlertConfig& alert, const std::string& service);

}  // namespace memspy::daemon
