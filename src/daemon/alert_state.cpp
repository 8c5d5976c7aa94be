#include "daemon/alert_state.h"

namespace memspy::daemon {
namespace {

using namespace std::chrono_literals;

constexpr auto kCalm = 10s;  // a figure at its bound crosses it all the time

constexpr auto kConcern = 10min;

}  // namespace

bool AlertState::concerned(SteadyTime now) const {
  if (!firing_) return since_.has_value() && (!fired_ || now - *fired_ >= cool_down_);
  return now - *fired_ < kConcern;
}

AlertState::Event AlertState::update(SteadyTime now, std::optional<bool> holds) {
  if (!holds) return Event::kNone;
  if (*holds) {
    clear_.reset();
    if (!since_) since_ = now;
    const bool cool = !fired_ || now - *fired_ >= cool_down_;
    if (firing_ || now - *since_ < hold_ || !cool) return Event::kNone;
    firing_ = true;
    fired_ = now;
    return Event::kFire;
  }
  since_.reset();
  if (!firing_) return Event::kNone;
  if (!clear_) clear_ = now;
  if (now - *clear_ < kCalm) return Event::kNone;
  clear_.reset();
  firing_ = false;
  return Event::kResolve;
}

}  // namespace memspy::daemon
