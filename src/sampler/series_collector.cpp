#include "sampler/series_collector.h"

#include <unistd.h>

#include <algorithm>

#include "attach/resident_memory.h"
#include "base/duration.h"

namespace memspy::sampler {
namespace {

using namespace std::chrono_literals;
using C = SeriesColumn;

constexpr auto kDearestPause = 1s;  // a dear figure is never read more often
constexpr auto kLongestPause = 60s;

std::optional<double> number(const std::optional<std::uint64_t>& value) {
  return value ? std::optional<double>(static_cast<double>(*value)) : std::nullopt;
}

}  // namespace

SeriesCollector::SeriesCollector(const procfs::ProcDir& proc, Pid pid, double share)
    : proc_(proc), pid_(pid), memory_(pid), share_(share) {}

void SeriesCollector::Paced::paid(SteadyTime now, std::chrono::nanoseconds price, double share) {
  next = now + std::clamp<std::chrono::nanoseconds>(earned_by(price, share), kDearestPause,
                                                    kLongestPause);
}

template <typename Body>
void SeriesCollector::paced(Paced& figure, SteadyTime now, Body&& body) {
  if (!figure.due(now)) return;
  const auto begin = std::chrono::steady_clock::now();
  body();
  figure.paid(now, std::chrono::steady_clock::now() - begin, share_);
}

void SeriesCollector::collect(SeriesPoint& point, SteadyTime now) {
  collect_status(point);
  collect_stat(point, now);
  paced(files_, now, [&] {
    if (const auto files = proc_.open_files(pid_); files.has_value())
      point[C::kOpenFiles] = static_cast<double>(*files);
  });
  paced(cgroup_, now, [&] { collect_cgroup(point); });
  paced(rollup_, now, [&] { collect_rollup(point); });
  if (interpreter_ == nullptr) return;
  paced(gc_, now, [&] { collect_interpreter(point); });
  collect_pymalloc(point, now);
}

void SeriesCollector::collect_status(SeriesPoint& point) {
  const auto status = proc_.status(pid_);
  if (!status.has_value()) return;
  point[C::kRssBytes] = number(status->vm_rss_bytes);
  point[C::kVmsBytes] = number(status->vm_size_bytes);
  point[C::kSwapBytes] = number(status->vm_swap_bytes);
  point[C::kPeakRssBytes] = number(status->vm_hwm_bytes);
  point[C::kRssAnonBytes] = number(status->rss_anon_bytes);
  point[C::kRssFileBytes] = number(status->rss_file_bytes);
  point[C::kRssShmemBytes] = number(status->rss_shmem_bytes);
  point[C::kThreads] = static_cast<double>(status->threads);
}

void SeriesCollector::collect_stat(SeriesPoint& point, SteadyTime now) {
  const auto stat = proc_.stat(pid_);
  if (!stat.has_value()) return;
  point[C::kMinorFaults] = static_cast<double>(stat->minor_faults);
  point[C::kMajorFaults] = static_cast<double>(stat->major_faults);
  const std::uint64_t ticks = stat->user_ticks + stat->system_ticks;
  const double elapsed = to_seconds(now - last_cpu_time_);
  if (last_cpu_ticks_ && ticks >= *last_cpu_ticks_ && elapsed > 0) {
    const double seconds =
        static_cast<double>(ticks - *last_cpu_ticks_) / static_cast<double>(::sysconf(_SC_CLK_TCK));
    point[C::kCpuPercent] = 100 * seconds / elapsed;
  } else {
    point[C::kCpuPercent] = 0;
  }
  last_cpu_ticks_ = ticks;
  last_cpu_time_ = now;
}

void SeriesCollector::collect_rollup(SeriesPoint& point) {
  const auto rollup = proc_.smaps_rollup(pid_);
  if (!rollup.has_value()) return;
  point[C::kPssBytes] = static_cast<double>(rollup->pss_bytes);
  point[C::kUssBytes] = static_cast<double>(rollup->uss_bytes());
}

void SeriesCollector::collect_cgroup(SeriesPoint& point) {
  const auto memory = proc_.cgroup_memory(pid_);
  if (!memory.has_value()) return;
  point[C::kCgroupUsageBytes] = number(memory->usage_bytes);
  point[C::kCgroupLimitBytes] = number(memory->limit_bytes);
}

void SeriesCollector::collect_interpreter(SeriesPoint& point) {
  const auto states = interpreter_->gc_states(memory_);
  if (!states.has_value() || states->empty()) return;
  const auto& generations = states->front().generations;
  point[C::kGc0Count] = static_cast<double>(generations[0].count);
  point[C::kGc1Count] = static_cast<double>(generations[1].count);
  point[C::kGc2Count] = static_cast<double>(generations[2].count);
  point[C::kGc0Collections] = static_cast<double>(generations[0].collections);
  point[C::kGc1Collections] = static_cast<double>(generations[1].collections);
  point[C::kGc2Collections] = static_cast<double>(generations[2].collections);
}

void SeriesCollector::read_pymalloc() {
  const auto map = proc_.maps(pid_);
  // Opened each time: a program that executes another leaves the old page tables behind.
  const auto resident = attach::ResidentMemory::open(proc_, pid_, memory_);
  if (!map.has_value() || !resident.has_value()) return;
  const auto state = interpreter_->pymalloc(*resident, *map);
  if (state.has_value()) pymalloc_state_ = *state;
}

void SeriesCollector::collect_pymalloc(SeriesPoint& point, SteadyTime now) {
  if (!told_pymalloc_) paced(pymalloc_, now, [&] { read_pymalloc(); });
  const auto state = std::exchange(pymalloc_state_, std::nullopt);
  if (!state) return;
  point[C::kArenaBytes] = static_cast<double>(state->arena_bytes);
  point[C::kPymallocUsedBytes] = static_cast<double>(state->used_bytes);
  point[C::kPymallocUsedBlocks] = static_cast<double>(state->used_blocks);
  point[C::kPymallocFreeBytes] = static_cast<double>(state->free_bytes);
}

}  // namespace memspy::sampler
