// The time series of one process. RSS and what comes with it at every tick; dearer figures (PSS,
// USS, pymalloc's pools) only as often as their measured price fits a share of the budget.
// Collector thread.
#pragma once

#include <chrono>
#include <memory>
#include <optional>

#include "attach/process_vm.h"
#include "base/clock.h"
#include "cpython/interpreter.h"
#include "memspy/series.h"
#include "procfs/proc_dir.h"

namespace memspy::sampler {

class SeriesCollector {
 public:
  // `share`: of one core's time, for the dearer figures together.
  SeriesCollector(const procfs::ProcDir& proc, Pid pid, double share);

  void set_share(double share) { share_ = share; }
  void set_interpreter(std::shared_ptr<const cpython::Interpreter> interpreter) {
    interpreter_ = std::move(interpreter);
  }
  // Whoever reads the pools anyway tells what they come to, and need not be imitated from then on.
  void tell_pymalloc(const cpython::PymallocState& state) {
    told_pymalloc_ = true;
    pymalloc_state_ = state;
  }
  // Fills what can be read; what cannot stays absent. `now` paces the dearer figures.
  void collect(SeriesPoint& point, SteadyTime now);

 private:
  // A figure that is read again only when its price has been earned.
  struct Paced {
    SteadyTime next{};
    bool due(SteadyTime now) const { return now >= next; }
    void paid(SteadyTime now, std::chrono::nanoseconds price, double share);
  };
  void collect_status(SeriesPoint& point);
  void collect_stat(SeriesPoint& point, SteadyTime now);
  void collect_rollup(SeriesPoint& point);
  void collect_cgroup(SeriesPoint& point);
  void collect_interpreter(SeriesPoint& point);
  void read_pymalloc();
  void collect_pymalloc(SeriesPoint& point, SteadyTime now);
  template <typename Body>
  void paced(Paced& figure, SteadyTime now, Body&& body);

  const procfs::ProcDir& proc_;
  Pid pid_;
  attach::ProcessVm memory_;
  double share_;
  std::shared_ptr<const cpython::Interpreter> interpreter_;
  Paced rollup_, files_, cgroup_, gc_, pymalloc_;
  bool told_pymalloc_ = false;
  std::optional<cpython::PymallocState> pymalloc_state_;  // not in a point yet
  std::optional<std::uint64_t> last_cpu_ticks_;
  SteadyTime last_cpu_time_{};
};

}  // namespace memspy::sampler
