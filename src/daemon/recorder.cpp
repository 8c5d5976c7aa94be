#include "daemon/recorder.h"

#include <utility>

namespace memspy::daemon {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t kMostTicksWaiting = 60;
constexpr auto kTidyPause = 5s;
constexpr int kHistorySegments = 12;
constexpr std::uint64_t kSegmentBytes = 32U << 20;  // a few hundred targets for minutes

}  // namespace

Result<std::unique_ptr<Recorder>> Recorder::start(const std::string& state_dir,
                                                  const RecorderConfig& limits,
                                                  const RunHeader& header) {
  MEMSPY_CHECK(Shelf(state_dir).prepare());
  return std::unique_ptr<Recorder>(new Recorder(state_dir, limits, header));
}

Recorder::Recorder(const std::string& state_dir, const RecorderConfig& limits,
                   const RunHeader& header)
    : limits_(limits),
      shelf_(state_dir),
      segments_({shelf_.series_folder(), limits.segment, kSegmentBytes}),
      history_({shelf_.history_folder(), limits.history / kHistorySegments, kSegmentBytes}),
      header_(header),
      thread_([this] { run(); }) {}

Recorder::~Recorder() {
  {
    const std::lock_guard lock(mutex_);
    ending_ = true;
  }
  news_.notify_one();
  thread_.join();
}

void Recorder::add(SeriesTick tick) {
  {
    const std::lock_guard lock(mutex_);
    if (queue_.size() >= kMostTicksWaiting) {
      // Definitions are needed later, whatever is lost; points are not.
      tick.points.clear();
      SeriesTick& last = queue_.back();
      last.fresh.insert(last.fresh.end(), tick.fresh.begin(), tick.fresh.end());
      last.gone.insert(last.gone.end(), tick.gone.begin(), tick.gone.end());
      ++figures_.lost_ticks;
      return;
    }
    queue_.push_back(std::move(tick));
  }
  news_.notify_one();
}

void Recorder::set_limits(const RecorderConfig& limits) {
  const std::lock_guard lock(mutex_);
  limits_ = limits;
}

RecorderFigures Recorder::figures() const {
  const std::lock_guard lock(mutex_);
  return figures_;
}

void Recorder::write(const SeriesTick& tick) {
  // Errors are the segments' own: see trouble().
  for (const ProcessRecord& record : tick.fresh) (void)segments_.on_process(record);
  for (const SeriesPoint& point : tick.points) (void)segments_.on_point(point);
  (void)segments_.on_tick_end(tick.time);
  write_history(tick);
  for (const ProcessIndex index : tick.gone) {
    segments_.forget(index);
    history_.forget(index);
    latest_.erase(index);
  }
}

void Recorder::write_history(const SeriesTick& tick) {
  for (const ProcessRecord& record : tick.fresh) (void)history_.on_process(record);
  // A target of which nothing has changed has no point in this tick.
  for (const SeriesPoint& point : tick.points) latest_.insert_or_assign(point.process, point);
  const auto interval = [&] {
    const std::lock_guard lock(mutex_);
    return limits_.history_interval;
  }();
  next_history_ = std::min(next_history_, tick.time + interval);  // it may have been shortened
  if (tick.time < next_history_) return;
  next_history_ = tick.time + interval - tick.time % interval;
  for (auto& [process, point] : latest_) {
    point.time = tick.time;
    (void)history_.on_point(point);
  }
  (void)history_.on_tick_end(tick.time);
}

void Recorder::tidy() {
  const auto limits = [&] {
    const std::lock_guard lock(mutex_);
    return limits_;
  }();
  const auto removed = shelf_.tidy(limits, std::chrono::steady_clock::now());
  const std::lock_guard lock(mutex_);
  figures_.bytes = shelf_.total_bytes();
  figures_.bytes_of = shelf_.owners();
  figures_.removed_files += removed.files;
}

void Recorder::run() {
  (void)segments_.on_header(header_);
  (void)history_.on_header(header_);
  SteadyTime next_tidy{};
  std::unique_lock lock(mutex_);
  for (;;) {
    news_.wait_for(lock, kTidyPause, [&] { return ending_ || !queue_.empty(); });
    std::deque<SeriesTick> ticks = std::exchange(queue_, {});
    const bool ending = ending_;
    lock.unlock();
    for (const SeriesTick& tick : ticks) write(tick);
    const auto now = std::chrono::steady_clock::now();
    const std::string trouble =
        segments_.trouble().empty() ? history_.trouble() : segments_.trouble();
    if (now >= next_tidy || !trouble.empty()) {
      tidy();
      next_tidy = now + kTidyPause;
    }
    lock.lock();
    figures_.trouble = trouble;
    if (!ending || !queue_.empty()) continue;
    segments_.close_segment("the end of the daemon");
    history_.close_segment("the end of the daemon");
    return;
  }
}

}  // namespace memspy::daemon
