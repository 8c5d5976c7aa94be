#include "cli/diff_condition.h"

#include "base/duration.h"
#include "cli/hints.h"
#include "report/heap_census.h"

namespace memspy::cli {
namespace {

constexpr double kSecondsPerMinute = 60;
constexpr std::uint64_t kFewestTicks = 100;  // of fewer a share of time is chance

std::optional<double> known(std::uint64_t bytes) {
  if (bytes == 0) return std::nullopt;
  return static_cast<double>(bytes);
}

std::optional<double> measure(const Condition& condition, const Compared& compared) {
  switch (condition.metric) {
    case Condition::Metric::kRss:
      return compared.rss;
    case Condition::Metric::kHeapBytes:
      return compared.heap_bytes;
    case Condition::Metric::kHeapObjects:
      return compared.heap_objects;
    case Condition::Metric::kAllocating:
      return compared.allocating;
    case Condition::Metric::kAllocatingChange:
      return compared.allocating_change;
    case Condition::Metric::kGrowth:
      break;
  }
  if (!condition.per_seconds) return compared.growth;
  if (!compared.growth_per_second) return std::nullopt;
  return *compared.growth_per_second * *condition.per_seconds;
}

const char* why_unknown(const Condition& condition, const Compared& compared) {
  const bool time = compared.measure == recording::Measure::kMicroseconds;
  switch (condition.metric) {
    case Condition::Metric::kHeapBytes:
    case Condition::Metric::kHeapObjects:
      return "recordings do not say what is in the heap; snapshots do";
    case Condition::Metric::kRss:
      return "the last file does not say what RSS was";
    case Condition::Metric::kAllocating:
    case Condition::Metric::kAllocatingChange:
      return time ? "they saw too little CPU time: fewer than 100 ticks of the clock"
                  : "recordings of mode alloc alone say what share of the CPU time is allocating";
    case Condition::Metric::kGrowth:
      break;
  }
  if (time)
    return "recordings of mode alloc tell time, and nothing of growth: ask allocating>30% or "
           "allocating.change>5%";
  return "a rate needs runs that lasted, or snapshots of one process";
}

std::optional<double> share_allocating(const report::RunFigures& run) {
  if (run.ticks < kFewestTicks || run.user_cpu.count() <= 0) return std::nullopt;
  return to_seconds(run.allocating) / to_seconds(run.user_cpu);
}

// Of recordings of mode alloc.
void compare_time(const report::RunFigures& first, const report::RunFigures& last, Compared& out) {
  out.allocating = share_allocating(last);
  if (const auto before = share_allocating(first); before && out.allocating)
    out.allocating_change = *out.allocating - *before;
}

}  // namespace

Compared compared(const report::Diff& diff) {
  const report::RunFigures& first = diff.recordings.front().figures;
  const report::RunFigures& last = diff.recordings.back().figures;
  Compared result;
  result.measure = diff.measure;
  result.rss = known(last.rss_peak_bytes);
  if (diff.measure == recording::Measure::kMicroseconds) {
    compare_time(first, last, result);
    return result;
  }
  const auto grown = [](const report::RunFigures& run) {
    return static_cast<double>(run.growth_bytes);
  };
  result.growth = grown(last) - grown(first);
  if (first.duration >= kShortestRate && last.duration >= kShortestRate)
    result.growth_per_second =
        (grown(last) / last.minutes() - grown(first) / first.minutes()) / kSecondsPerMinute;
  return result;
}

Compared compared(std::span<const snapshot::Look> looks, const snapshot::SnapshotDiff& diff) {
  const snapshot::Snapshot& last = *looks.back().snapshot;
  Compared result;
  result.heap_bytes = static_cast<double>(report::heap_bytes(last.graph));
  result.heap_objects = static_cast<double>(last.graph.node_count());
  result.growth =
      *result.heap_bytes - static_cast<double>(report::heap_bytes(looks.front().snapshot->graph));
  if (diff.same_process && diff.minutes > 0)
    result.growth_per_second = *result.growth / (diff.minutes * kSecondsPerMinute);
  result.rss = known(last.header.rss_bytes);
  return result;
}

Result<report::AskedCondition> ask(const Condition& condition, const Compared& compared) {
  const auto value = measure(condition, compared);
  if (!value)
    return usage_error("these files do not tell whether " + condition.text,
                       why_unknown(condition, compared));
  return report::AskedCondition{condition.text, *value, holds_for(condition, *value)};
}

}  // namespace memspy::cli
