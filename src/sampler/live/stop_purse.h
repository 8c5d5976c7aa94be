// How many more stops watchpoints may cause. Each watch that is set takes what it may need at most,
// and gives back what it did not: so none is cut short because another was busy, which would favour
// quiet blocks.
#pragma once

#include <algorithm>
#include <chrono>

#include "base/clock.h"
#include "base/duration.h"

namespace memspy::sampler {

class StopPurse {
 public:
  // `most`: how many can be saved up, a quarter of which is there at the begin. `fee`: what it
  // costs to set a watch and take it away, in stops; of a watch that was set it is not given back.
  StopPurse(double per_second, double most, SteadyTime now, double fee = 0)
      : per_second_(per_second), most_(most), fee_(fee), balance_(most / 4), last_(now) {}

  void set_rate(double per_second) { per_second_ = per_second; }
  bool take(double stops, SteadyTime now) {
    balance_ = std::min(most_, balance_ + per_second_ * to_seconds(now - last_));
    last_ = now;
    if (balance_ < stops + fee_) return false;
    balance_ -= stops + fee_;
    return true;
  }
  void give_back(double stops) { balance_ += stops; }
  // There have been more than were lent.
  void charge(double stops) { balance_ -= stops; }
  // Nothing was set.
  void undo(double stops) { balance_ += stops + fee_; }

 private:
  double per_second_, most_, fee_, balance_;
  SteadyTime last_;
};

}  // namespace memspy::sampler
