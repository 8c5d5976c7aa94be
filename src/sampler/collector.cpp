#include "sampler/collector.h"

#include <sys/resource.h>

#include <algorithm>

#include <spdlog/fmt/fmt.h>

#include "base/duration.h"

namespace memspy::sampler {
namespace {

using C = SeriesColumn;

// Of one core, for looking at page tables and the dearer series of all processes.
constexpr double kCollectorShare = 0.005;

std::chrono::nanoseconds own_cpu() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  const auto time = [](const timeval& t) {
    return std::chrono::seconds(t.tv_sec) + std::chrono::microseconds(t.tv_usec);
  };
  return time(usage.ru_utime) + time(usage.ru_stime);
}

}  // namespace

Collector::Collector(EngineContext& context, SampleSink& sink)
    : context_(context), sink_(sink), cost_(context.options.budget_percent) {}

ProcessWindow* Collector::find(ProcessIndex index) {
  const auto it = windows_.find(index);
  return it == windows_.end() ? nullptr : &it->second;
}

const ProcessRecord* Collector::first() const {
  return windows_.empty() ? nullptr : &windows_.begin()->second.record();
}

Result<Unit> Collector::take_events() {
  for (auto& [index, window] : windows_) window.begin_batch();
  for (const Event& event : context_.queue.drain()) MEMSPY_CHECK(apply(event));
  if (const std::uint64_t dropped = context_.queue.dropped(); dropped != reported_drops_) {
    Gap gap;
    gap.time = std::chrono::steady_clock::now() - context_.start;
    gap.reason = "samples dropped: the collector fell behind";
    gap.samples = dropped - reported_drops_;
    reported_drops_ = dropped;
    MEMSPY_CHECK(sink_.on_gap(gap));
  }
  return Unit{};
}

Result<Unit> Collector::apply(const Event& event) {
  if (const auto* process = std::get_if<ProcessRecord>(&event)) return apply_process(*process);
  if (const auto* thread = std::get_if<ThreadRecord>(&event)) return sink_.on_thread(*thread);
  if (const auto* frame = std::get_if<FrameDefined>(&event))
    return sink_.on_frame(frame->id, frame->frame);
  if (const auto* stack = std::get_if<StackDefined>(&event))
    return sink_.on_stack(stack->id, stack->node);
  if (const auto* gap = std::get_if<Gap>(&event)) return sink_.on_gap(*gap);
  if (const auto* sample = std::get_if<FaultSample>(&event)) apply_sample(*sample);
  if (const auto* awaited = std::get_if<FaultsAwaited>(&event)) {
    if (ProcessWindow* window = find(awaited->process)) window->await(*awaited);
  }
  if (const auto* tick = std::get_if<ClockTick>(&event)) {
    TickSum& sum = clock_[{tick->process, tick->thread, tick->stack}];
    sum.cpu_time += tick->cpu_time;
    ++sum.ticks;
  }
  if (const auto* edge = std::get_if<WindowEdge>(&event)) apply_edge(*edge);
  if (const auto* live = std::get_if<LiveProfiled>(&event)) apply_live(*live);
  if (const auto* fork = std::get_if<ForkNoticed>(&event)) {
    if (ProcessWindow* window = find(fork->process)) window->fork();
  }
  if (const auto* found = std::get_if<InterpreterFound>(&event)) {
    if (ProcessWindow* window = find(found->process)) window->set_interpreter(found->interpreter);
  }
  return Unit{};
}

Result<Unit> Collector::apply_process(const ProcessRecord& record) {
  if (ProcessWindow* known = find(record.index)) {
    known->update(record);
    return sink_.on_process(record);
  }
  const bool first = windows_.empty();
  auto& window =
      windows_.try_emplace(record.index, context_.proc, record, kCollectorShare).first->second;
  if (first) window.set_initial();
  return sink_.on_process(record);
}

void Collector::take_baselines() {
  for (auto& [index, window] : windows_) {
    window.take_baseline();
    window.set_initial();
  }
}

Result<Unit> Collector::add_untraced(const ProcessRecord& record, std::uint64_t rss_bytes) {
  MEMSPY_CHECK(apply_process(record));
  windows_.at(record.index).begin(rss_bytes, false);
  return Unit{};
}

void Collector::apply_sample(const FaultSample& sample) {
  ProcessWindow* window = find(sample.process);
  if (window == nullptr) return;
  const auto live = live_.find(sample.process);
  window->add(live == live_.end() ? sample : live->second.placed(sample));
  if (sample.in_kernel) kernel_fault_bytes_ += sample.faults * kPageBytes;
  if (sample.late) late_bytes_ += sample.faults * kPageBytes;
}

void Collector::apply_live(const LiveProfiled& event) {
  ProcessWindow* window = find(event.process);
  if (window == nullptr) return;
  live_[event.process].take(event, window->ledger());
  window->tell_pymalloc(event.pymalloc);
}

void Collector::apply_edge(const WindowEdge& edge) {
  ProcessWindow* window = find(edge.process);
  if (window == nullptr) return;
  using Kind = WindowEdge::Kind;
  switch (edge.kind) {
    case Kind::kBegins:
      // A child that comes later; those that were there have their baseline already.
      if (!edge.fresh && !window->has_baseline()) window->take_baseline();
      window->set_inherits(edge.inherits);
      window->begin(edge.rss_bytes, !edge.fresh && window->record().parent.value != 0);
      break;
    case Kind::kEnds:
      window->end(edge.rss_bytes,
                  told_too_ ? ProcessWindow::End::kToldToo : ProcessWindow::End::kGoesOn);
      break;
    case Kind::kLeaves:
      window->end(edge.rss_bytes, ProcessWindow::End::kLeaves);
      break;
    case Kind::kExeced:
      window->lose();
      last_lost_ = edge.process;
      break;
    case Kind::kExited:
      window->lose();
      last_lost_ = edge.process;
      // What was asked for may have executed another program since: the pid stays.
      if (window->record().identity.pid == first()->identity.pid) end_of_first_ = edge.how;
      break;
  }
}

// Never silent: a run that costs more than it may says so, and does less.
Result<Unit> Collector::watch_cost(SteadyTime now) {
  const auto living = static_cast<std::size_t>(std::count_if(
      windows_.begin(), windows_.end(), [](const auto& entry) { return !entry.second.lost(); }));
  const auto over = cost_.update(now, {own_cpu(), context_.counters.pauses.total()}, living);
  context_.thrift.store(cost_.thrift(), std::memory_order_relaxed);
  const double share =
      kCollectorShare * cost_.thrift() / static_cast<double>(std::max<std::size_t>(living, 1));
  for (auto& [index, window] : windows_) window.set_share(share);
  if (!over) return Unit{};
  Gap gap;
  gap.time = now - context_.start;
  const std::string each =
      living > 1 ? fmt::format(" ({:.3g} % for each of {} processes)",
                               over->allowed_percent / static_cast<double>(living), living)
                 : std::string();
  gap.reason = fmt::format(
      "over the budget of {:.3g} %{}, so looking less often: memspy's CPU was {:.1f} %, stops "
      "{:.1f} % "
      "of {}",
      over->allowed_percent, each, over->own_cpu_percent, over->stopped_percent,
      format_duration(over->window));
  return sink_.on_gap(gap);
}

// RSS between two ticks, where it was higher than ever before: the kernel's high-water mark is of
// the whole life of a process, and tells of this run when it goes up. 0: it tells nothing.
std::uint64_t Collector::raised_high_water(const SeriesPoint& point) {
  const auto& mark = point[C::kPeakRssBytes];
  if (!mark) return 0;
  if (!first_high_water_) first_high_water_ = mark;
  return *mark > *first_high_water_ ? static_cast<std::uint64_t>(*mark) : 0;
}

Result<Unit> Collector::tick(SteadyTime now, bool last) {
  MEMSPY_CHECK(take_events());
  MEMSPY_CHECK(watch_cost(now));
  const auto time = now - context_.start;
  std::uint64_t rss = 0, high_water = 0;
  for (auto& [index, window] : windows_) {
    const auto tick = window.tick(now, last);
    if (!context_.options.allocation) MEMSPY_CHECK(tell_growth(time, index, tick, last));
    if (!tick.point) continue;
    SeriesPoint point = *tick.point;
    if (context_.options.allocation)  // nobody has looked
      point[C::kAttributedBytes] = point[C::kUnattributedBytes] = std::nullopt;
    point.time = time;
    point[C::kSamples] = static_cast<double>(context_.counters.samples.load());
    point[C::kRejected] = static_cast<double>(context_.counters.rejected.load());
    point[C::kStoppedSeconds] = to_seconds(context_.counters.pauses.total());
    rss += window.growth().rss_end_bytes;
    if (windows_.size() == 1) high_water = raised_high_water(point);
    MEMSPY_CHECK(sink_.on_point(point));
  }
  rss_peak_bytes_ = std::max({rss_peak_bytes_, rss, high_water});
  MEMSPY_CHECK(tell_allocation(time));
  if (last && !context_.options.allocation) {
    for (const auto& [index, window] : windows_) {
      const std::uint64_t brought = brought_along(index, window);
      if (brought == 0) continue;
      if (const auto& owner = window.inherits()) {
        MEMSPY_CHECK(sink_.on_growth({time, index, owner->first, owner->second, brought, 0, 0}));
      } else {
        MEMSPY_CHECK(sink_.on_unattributed({time, index, static_cast<std::int64_t>(brought)}));
      }
    }
  }
  return sink_.on_tick_end(time);
}

Result<Unit> Collector::tell_growth(std::chrono::nanoseconds time, ProcessIndex index,
                                    const ProcessWindow::Tick& tick, bool last) {
  const auto live = live_.find(index);
  for (const LedgerDelta& delta : tick.growth) {
    if (live != live_.end() && live->second.skips(delta)) continue;
    MEMSPY_CHECK(sink_.on_growth({time, index, delta.owner.thread, delta.owner.stack,
                                  delta.touched_pages * kPageBytes,
                                  delta.returned_pages * kPageBytes, delta.samples}));
  }
  if (live != live_.end()) MEMSPY_CHECK(live->second.tell(time, index, last, sink_));
  if (tick.unattributed_change_bytes == 0) return Unit{};
  return sink_.on_unattributed({time, index, tick.unattributed_change_bytes});
}

Result<Unit> Collector::tell_allocation(std::chrono::nanoseconds time) {
  for (const auto& [key, sum] : clock_) {
    const auto& [process, thread, stack] = key;
    MEMSPY_CHECK(sink_.on_allocation({time, process, thread, stack, sum.cpu_time, sum.ticks}));
  }
  clock_.clear();
  return Unit{};
}

// In place of what is told of growth, which nobody has looked at.
void Collector::count_clock(RunSummary& summary) const {
  summary.growth_bytes = summary.attributed_bytes = summary.unattributed_bytes = 0;
  summary.shrink_bytes = 0;
  const ClockCounters& clock = context_.counters.clock;
  const auto count = [](const auto& n) { return static_cast<double>(n.load()); };
  const auto microseconds = [](const auto& n) { return static_cast<double>(n.load() / 1000); };
  summary.counters = {{"clock_ticks", count(clock.ticks)},
                      {"unclassified_ticks", count(clock.unclassified)},
                      {"outside_python_ticks", count(clock.outside)},
                      {"collecting_ticks", count(clock.collecting)},
                      {"interpreter_samples", count(clock.in_python)},
                      {"inlined_samples", count(clock.inlined)},
                      {"library_samples", count(clock.in_library)},
                      {"cpu_microseconds", microseconds(clock.cpu_ns)},
                      {"user_cpu_microseconds", microseconds(clock.user_ns)},
                      {"allocating_microseconds", microseconds(clock.allocating_ns)},
                      {"allocator_functions", count(clock.functions)},
                      {"inlined_places", count(clock.inlined_places)},
                      {"partial_samples", count(context_.counters.partial)},
                      {"blind_threads", count(context_.counters.blind_threads)},
                      {"dropped_samples", static_cast<double>(context_.queue.dropped())},
                      {"own_cpu_seconds", to_seconds(own_cpu())}};
}

// Is its memory part of the tree's RSS at the end? One that went while others stayed is not; where
// all are gone, the one that went last is the end.
bool Collector::counts_at_end(ProcessIndex index, const ProcessWindow& window) const {
  const bool any_left = std::any_of(windows_.begin(), windows_.end(),
                                    [](const auto& entry) { return !entry.second.lost(); });
  return !window.lost() || (!any_left && index == last_lost_);
}

// What a process that joined the run had before anybody saw it grow, as far as that is growth of
// the tree: no stack explains it. A fork has inherited it.
std::uint64_t Collector::brought_along(ProcessIndex index, const ProcessWindow& window) const {
  if (window.initial()) return 0;
  const WindowGrowth& growth = window.growth();
  if (counts_at_end(index, window)) return growth.rss_begin_bytes;
  return growth.rss_begin_bytes - std::min(growth.rss_begin_bytes, growth.rss_end_bytes);
}

RunSummary Collector::summary(SteadyTime now, std::string ended_by) const {
  RunSummary summary;
  summary.duration = now - context_.start;
  const auto& counters = context_.counters;
  summary.samples = counters.samples.load();
  summary.rejected = counters.rejected.load();
  summary.late = counters.late.load();
  summary.stopped = counters.pauses.total();
  summary.pause_p50 = counters.pauses.quantile(0.5);
  summary.pause_p99 = counters.pauses.quantile(0.99);
  summary.pause_max = counters.pauses.max();
  summary.ended_by = std::move(ended_by);
  std::uint64_t copied = 0, huge = 0;
  for (const auto& [index, window] : windows_) {
    const WindowGrowth& growth = window.growth();
    const std::uint64_t along = brought_along(index, window);
    summary.attributed_bytes += growth.attributed_bytes + (window.inherits() ? along : 0);
    summary.unattributed_bytes += growth.unattributed_bytes + (window.inherits() ? 0 : along);
    summary.shrink_bytes += growth.shrink_bytes;
    if (const auto live = live_.find(index); live != live_.end()) live->second.correct(summary);
    const std::uint64_t start = window.initial() ? growth.rss_begin_bytes : 0;
    summary.rss_start_bytes += start;
    if (counts_at_end(index, window)) {
      summary.rss_end_bytes += growth.rss_end_bytes;
    } else {  // all that it had has gone, less what it had brought along
      const std::uint64_t brought = window.initial() ? 0 : growth.rss_begin_bytes;
      summary.shrink_bytes += growth.rss_end_bytes - std::min(growth.rss_end_bytes, brought);
    }
    copied += window.ledger().copied_pages() * kPageBytes;
    huge += window.ledger().huge_pages() * kChunkPages * kPageBytes;
  }
  summary.growth_bytes = summary.attributed_bytes + summary.unattributed_bytes;
  summary.rss_peak_bytes =
      std::max({rss_peak_bytes_, summary.rss_start_bytes, summary.rss_end_bytes});
  const auto count = [](std::uint64_t n) { return static_cast<double>(n); };
  summary.counters = {{"kernel_fault_bytes", count(kernel_fault_bytes_)},
                      {"late_bytes", count(late_bytes_)},
                      {"rejected_fault_bytes", count(counters.rejected_faults.load() * kPageBytes)},
                      {"copied_on_write_bytes", count(copied)},
                      {"huge_page_bytes", count(huge)},
                      {"partial_samples", count(counters.partial.load())},
                      {"blind_threads", count(counters.blind_threads.load())},
                      {"kernel_records_lost", count(counters.kernel_records_lost.load())},
                      {"kernel_events_lost", count(counters.kernel_events_lost.load())},
                      {"late_looks", count(counters.late_looks.load())},
                      {"dropped_samples", count(context_.queue.dropped())},
                      {"own_cpu_seconds", to_seconds(own_cpu())}};
  for (const auto& [index, live] : live_) live.count(summary);
  if (context_.options.allocation) count_clock(summary);
  if (!context_.options.native) return summary;
  summary.counters.insert(summary.counters.end(),
                          {{"native_stacks", count(counters.native_stacks.load())},
                           {"native_stacks_cut", count(counters.native_cut.load())},
                           {"native_stacks_lost", count(counters.native_lost.load())},
                           {"native_stacks_broken", count(counters.native_broken.load())},
                           {"native_frames", count(counters.native_frames.load())},
                           {"native_frames_guessed", count(counters.native_guessed.load())}});
  return summary;
}

}  // namespace memspy::sampler
