// One alert for one target, from tick to tick: it holds, has held long enough (it fires), holds no
// more (it is resolved), and does not fire again before it has cooled down.
//
// Pure: time is a parameter.
#pragma once

#include <chrono>
#include <optional>

#include "base/clock.h"

namespace memspy::daemon {

class AlertState {
 public:
  enum class Event { kNone, kFire, kResolve };

  // `hold`: for how long it has to hold. `cool_down`: between two firings.
  AlertState(std::chrono::nanoseconds hold, std::chrono::nanoseconds cool_down)
      : hold_(hold), cool_down_(cool_down) {}

  // `holds`: nullopt when it is not known, which is no reason to resolve what fires, nor to fire.
  Event update(SteadyTime now, std::optional<bool> holds);
  // As a daemon before this one has left it.
  void resume(bool firing, SteadyTime fired) {
    firing_ = firing;
    fired_ = fired;
  }
  void set_cool_down(std::chrono::nanoseconds cool_down) { cool_down_ = cool_down; }
  bool firing() const { return firing_; }
  // Worth a closer look: it holds and may fire, or has fired a while ago at most. What stays over
  // its bound for days is known by then.
  bool concerned(SteadyTime now) const;

 private:
  std::chrono::nanoseconds hold_, cool_down_;
  std::optional<SteadyTime> since_;  // it holds
  std::optional<SteadyTime> clear_;  // it fires, and does not hold
  std::optional<SteadyTime> fired_;
  bool firing_ = false;
};

}  // namespace memspy::daemon
