// Does a run keep its budget? What it costs is measured, not planned: the time that the targets stood
// still, and memspy's own CPU, which a loaded machine or many processes make dearer than foreseen.
// Over the budget, thrift() falls, and whatever may be done less often is; under it, it rises again.
// Where less of it has not made the run cheaper, it falls no further: that would cost samples only.
//
// Pure; collector thread.
#pragma once

#include <chrono>
#include <optional>

#include "base/clock.h"

namespace memspy::sampler {

// Since the start of the run.
struct RunCost {
  std::chrono::nanoseconds own_cpu{}, stopped{};
};

class CostWatch {
 public:
  // Of the last window, in percent of the time of a core.
  struct Overrun {
    double own_cpu_percent = 0, stopped_percent = 0, allowed_percent = 0;
    std::chrono::nanoseconds window{};
  };

  // `percent`: of each process' time, for both together.
  explicit CostWatch(double percent);

  // At each tick; `processes`: that lived since the last one. A result at the end of a window that
  // was over the budget, where the one before it was not.
  std::optional<Overrun> update(SteadyTime now, const RunCost& cost, std::size_t processes);
  // 1: as planned; 0.25: a quarter of what was planned.
  double thrift() const { return thrift_; }

 private:
  void adjust(double share);
  double percent_;
  double thrift_ = 1;
  double lowered_at_ = 0;  // the share of the budget that was used when thrift fell last; 0: it rose
  bool over_ = false;
  std::optional<SteadyTime> begin_, last_;
  double allowed_seconds_ = 0;  // since begin_, by how many processes there were
  RunCost before_;
};

}  // namespace memspy::sampler
