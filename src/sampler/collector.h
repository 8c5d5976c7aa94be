// The collector's half of a run: takes events from the tracer, keeps a window per process, closes
// ticks, and speaks to the sink. Runs on the thread that called Session::run().
#pragma once

#include <map>
#include <optional>
#include <string>
#include <tuple>

#include "memspy/sample_sink.h"
#include "sampler/cost_watch.h"
#include "sampler/engines/engine.h"
#include "sampler/live/live_totals.h"
#include "sampler/process_window.h"

namespace memspy::sampler {

class Collector {
 public:
  Collector(EngineContext& context, SampleSink& sink);

  // Applies what the tracer has said so far. An error is the sink's.
  Result<Unit> take_events();
  // Before sampling begins: what is resident in every process known so far.
  void take_baselines();
  // Without a tracer (engine `rss`): a process is known by its record alone.
  Result<Unit> add_untraced(const ProcessRecord& record, std::uint64_t rss_bytes);
  Result<Unit> tick(SteadyTime now, bool last);
  // The signal that ends the run was sent to the processes too, or may have been.
  void expect_clearing_up() { told_too_ = true; }

  // How the process that was asked for (the first) has ended; nullopt while it lives.
  const std::optional<std::string>& end_of_first() const { return end_of_first_; }
  const ProcessRecord* first() const;
  RunSummary summary(SteadyTime now, std::string ended_by) const;

 private:
  bool counts_at_end(ProcessIndex index, const ProcessWindow& window) const;
  std::uint64_t brought_along(ProcessIndex index, const ProcessWindow& window) const;
  Result<Unit> apply(const Event& event);
  Result<Unit> apply_process(const ProcessRecord& record);
  Result<Unit> watch_cost(SteadyTime now);
  void apply_live(const LiveProfiled& event);
  void apply_edge(const WindowEdge& edge);
  void apply_sample(const FaultSample& sample);
  std::uint64_t raised_high_water(const SeriesPoint& point);
  Result<Unit> tell_growth(std::chrono::nanoseconds time, ProcessIndex index,
                           const ProcessWindow::Tick& tick, bool last);
  Result<Unit> tell_allocation(std::chrono::nanoseconds time);
  void count_clock(RunSummary& summary) const;
  ProcessWindow* find(ProcessIndex index);

  EngineContext& context_;
  SampleSink& sink_;
  std::map<ProcessIndex, ProcessWindow> windows_;
  std::map<ProcessIndex, LiveTotals> live_;  // mode live only
  struct TickSum {
    std::chrono::nanoseconds cpu_time{};
    std::uint32_t ticks = 0;
  };
  std::map<std::tuple<ProcessIndex, ThreadIndex, StackId>, TickSum> clock_;  // since the last tick
  CostWatch cost_;
  std::optional<std::string> end_of_first_;
  bool told_too_ = false;
  ProcessIndex last_lost_;  // whose memory went last; 0: none
  std::uint64_t rss_peak_bytes_ = 0;
  std::optional<double> first_high_water_;  // of the one process there is, at its first tick
  std::uint64_t kernel_fault_bytes_ = 0, late_bytes_ = 0;
  std::uint64_t reported_drops_ = 0;
};

}  // namespace memspy::sampler
