#include "daemon/target_figures.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <string_view>
#include <utility>

#include "procfs/stat.h"

namespace memspy::daemon {
namespace {

using namespace std::chrono_literals;

constexpr auto kDearPause = 10s;
// Of a core, for the dear figures of one target (PSS needs a walk of the page tables).
constexpr double kDearShare = 1e-4;

}  // namespace

TargetFigures::TargetFigures(const procfs::ProcDir& proc, Pid pid, SteadyTime now)
    : proc_(proc),
      pid_(pid),
      // O_NOFOLLOW and the like make no sense in /proc; the descriptor stays with the process, and
      // reads nothing once it is gone, whoever has the pid then.
      statm_(::open(proc.path(pid, "statm").c_str(), O_RDONLY | O_CLOEXEC)),
      dear_(proc, pid, kDearShare),
      next_dear_(now) {}

bool TargetFigures::read_rss() {
  std::array<char, 256> buffer;  // NOLINT(cppcoreguidelines-pro-type-member-init)
  const ssize_t count = ::pread(statm_.get(), buffer.data(), buffer.size(), 0);
  if (count <= 0) return false;
  const auto statm =
      procfs::parse_statm(std::string_view(buffer.data(), static_cast<std::size_t>(count)));
  // A process that is about to end has no memory any more: what it had stands.
  if (!statm.has_value() || statm->resident_pages == 0) return false;
  rss_bytes_ = statm->rss_bytes();
  return true;
}

void TargetFigures::read_group(SteadyTime now) {
  const auto memory = proc_.cgroup_memory(pid_);
  const auto used = memory.has_value() ? memory->working_set_bytes() : std::nullopt;
  if (!used) return;
  group_bytes_ = static_cast<double>(*used);
  group_rate_.add(now, *group_bytes_);
}

std::optional<SeriesPoint> TargetFigures::tick(SteadyTime now, ProcessIndex recorded_as,
                                               std::chrono::nanoseconds time) {
  const std::uint64_t before = rss_bytes_;
  if (!read_rss()) return std::nullopt;
  rate_.add(now, static_cast<double>(rss_bytes_));
  SeriesPoint point;
  point.process = recorded_as;
  point.time = time;
  const bool dear = now >= next_dear_;
  if (dear) {
    dear_.collect(point, now);
    read_group(now);
    // Spread over the ten seconds: hundreds of targets found at once do not stay in step.
    next_dear_ = now + (std::exchange(spread_, true) ? kDearPause : (1 + pid_.value % 10) * 1s);
  }
  if (!point[SeriesColumn::kRssBytes])
    point[SeriesColumn::kRssBytes] = static_cast<double>(rss_bytes_);
  for (std::size_t i = 0; i < kSeriesColumnCount; ++i)
    if (point.values[i]) latest_.values[i] = point.values[i];
  // The kernel's own mark is read now and then.
  if (auto& peak = latest_[SeriesColumn::kPeakRssBytes])
    peak = std::max(*peak, static_cast<double>(rss_bytes_));
  if (!dear && rss_bytes_ == before && now < next_point_) return std::nullopt;
  next_point_ = now + kQuietPause;
  return point;
}

}  // namespace memspy::daemon
