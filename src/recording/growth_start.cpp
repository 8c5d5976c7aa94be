#include "recording/growth_start.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <string>
#include <utility>

#include "recording/profile.h"
#include "recording/recording.h"

namespace memspy::recording {
namespace {

constexpr auto kShortestRun = std::chrono::seconds(30);
// Of a file's own words, which may be anything; sums of a few of them are far from overflow.
constexpr auto kLongestTime = std::chrono::hours(24 * 365 * 20);
constexpr std::size_t kMostBins = 240;
constexpr std::size_t kFewestBins = 8;
constexpr std::size_t kMostLines = 8;
constexpr double kLargestSize = 1e18;
constexpr double kSmallestGrowth = 1 << 20;  // bytes
// What sizes scatter by at least: arenas and heaps are taken in steps.
constexpr double kSmallestNoise = 64 << 10;  // bytes
constexpr double kNoiseShare = 0.005;        // of the whole range
constexpr double kClearGrowth = 5;           // of it to the noise
constexpr double kEndIsFlat = 0.05;          // of the rise of all
// A stretch that rises slower than this share of what follows belongs to the time before.
constexpr double kSameGrowth = 0.25;

bool is_sane(std::chrono::nanoseconds time) { return time > -kLongestTime && time < kLongestTime; }

void drop_insane(std::vector<SizeAt>& sizes) {
  std::erase_if(sizes, [](const SizeAt& size) { return !is_sane(size.time); });
}

// The lowest value of each stretch of time: what a program holds, without what it takes for a
// moment.
std::vector<SizeAt> lowest_of_bins(std::span<const SizeAt> sizes) {
  std::vector<SizeAt> sound;
  for (const SizeAt& size : sizes) {
    const bool ascending = sound.empty() || size.time > sound.back().time;
    if (ascending && is_sane(size.time) && size.bytes >= 0 && size.bytes < kLargestSize)
      sound.push_back(size);
  }
  if (sound.size() <= kMostBins) return sound;
  std::vector<SizeAt> bins;
  const auto begin = sound.front().time;
  const auto width = (sound.back().time - begin) / kMostBins + std::chrono::nanoseconds(1);
  std::int64_t last_bin = -1;
  for (const SizeAt& size : sound) {
    const std::int64_t bin = (size.time - begin) / width;
    if (bin != std::exchange(last_bin, bin)) {
      bins.push_back(size);
    } else if (size.bytes <= bins.back().bytes) {
      bins.back() = size;
    }
  }
  return bins;
}

// By how much values scatter around any curve without corners: the median of second differences,
// which few corners do not move.
double noise_of(const std::vector<SizeAt>& bins, double range) {
  std::vector<double> bends;
  for (std::size_t i = 1; i + 1 < bins.size(); ++i)
    bends.push_back(std::abs(bins[i - 1].bytes - 2 * bins[i].bytes + bins[i + 1].bytes));
  const auto middle = bends.begin() + static_cast<std::ptrdiff_t>(bends.size() / 2);
  std::nth_element(bends.begin(), middle, bends.end());
  constexpr double kMedianOfBend = 0.6745 * 2.449;  // of normal noise of deviation 1
  return std::max({*middle / kMedianOfBend, kSmallestNoise, kNoiseShare * range});
}

struct Line {
  std::size_t begin = 0, end = 0;  // of its bins
  double first = 0, last = 0;      // its values there
};

// Straight lines through stretches of the bins, as few as the noise allows: the least sum of
// squares with a price on each line (segmented least squares).
class Segments {
 public:
  Segments(const std::vector<SizeAt>& bins, double noise) : bins_(bins), sums_(bins.size() + 1) {
    for (std::size_t i = 0; i < bins.size(); ++i) {
      const double t = time(i), y = (bins[i].bytes - bins[0].bytes) / noise;
      const Sums& s = sums_[i];
      sums_[i + 1] = {s.t + t, s.y + y, s.tt + t * t, s.ty + t * y, s.yy + y * y};
    }
    noise_ = noise;
    cut();
  }
  std::vector<Line> lines() const {
    std::vector<Line> lines;
    for (std::size_t end = bins_.size(); end > 0; end = begin_of_[end])
      lines.push_back(line(begin_of_[end], end));
    std::reverse(lines.begin(), lines.end());
    return lines;
  }

 private:
  struct Sums {
    double t = 0, y = 0, tt = 0, ty = 0, yy = 0;
  };
  struct Fit {
    double slope = 0, level = 0, error = 0;  // level: at time 0
  };
  double time(std::size_t i) const {
    const auto whole = static_cast<double>((bins_.back().time - bins_.front().time).count());
    return static_cast<double>((bins_[i].time - bins_.front().time).count()) / whole;
  }
  Fit fit(std::size_t begin, std::size_t end) const {
    const Sums &a = sums_[begin], &b = sums_[end];
    const auto n = static_cast<double>(end - begin);
    const double t = b.t - a.t, y = b.y - a.y;
    const double tt = b.tt - a.tt - t * t / n, ty = b.ty - a.ty - t * y / n;
    const double yy = b.yy - a.yy - y * y / n;
    const double slope = tt > 1e-12 ? ty / tt : 0;
    return {slope, (y - slope * t) / n, std::max(0.0, yy - slope * ty)};
  }
  Line line(std::size_t begin, std::size_t end) const {
    const Fit f = fit(begin, end);
    const auto at = [&](std::size_t i) {
      return bins_[0].bytes + noise_ * (f.level + f.slope * time(i));
    };
    return {begin, end, at(begin), at(end - 1)};
  }
  void cut() {
    const std::size_t n = bins_.size();
    const double price = 3 * std::log(static_cast<double>(n));  // three numbers more
    std::vector<double> best(n + 1, std::numeric_limits<double>::infinity());
    begin_of_.assign(n + 1, 0);
    best[0] = 0;
    for (std::size_t end = 1; end <= n; ++end) {
      for (std::size_t begin = 0; begin < end; ++begin) {
        const double cost = best[begin] + fit(begin, end).error + price;
        if (cost >= best[end]) continue;
        best[end] = cost;
        begin_of_[end] = begin;
      }
    }
  }

  const std::vector<SizeAt>& bins_;
  double noise_ = 0;
  std::vector<Sums> sums_;
  std::vector<std::size_t> begin_of_;  // of the last line, by the end of the bins
};

double seconds_between(const SizeAt& from, const SizeAt& to) {
  return std::chrono::duration<double>(to.time - from.time).count();
}

// The first bin of the growth at the end.
std::size_t begin_of_growth(const std::vector<SizeAt>& bins, const std::vector<Line>& lines) {
  const auto before = [&](std::size_t i) { return i == 0 ? lines[0].first : lines[i - 1].last; };
  const double end = lines.back().last;
  double lowest = end;
  for (const Line& line : lines) lowest = std::min({lowest, line.first, line.last});
  std::size_t first = lines.size() - 1;
  while (first > 0 && lines.back().last - before(first) < kEndIsFlat * (end - lowest)) --first;
  for (; first > 0; --first) {
    const SizeAt& begin = bins[lines[first].begin - 1];
    const Line& above = lines[first - 1];
    const double rate = (end - before(first)) / seconds_between(begin, bins.back());
    const double length = seconds_between(bins[above.begin > 0 ? above.begin - 1 : 0], begin);
    if (length > 0 && (above.last - before(first - 1)) / length < kSameGrowth * rate) break;
  }
  return lines[first].begin;
}

std::optional<GrowthStart> find_once(std::span<const SizeAt> sizes) {
  const std::vector<SizeAt> bins = lowest_of_bins(sizes);
  if (bins.size() < kFewestBins) return std::nullopt;
  const auto by_size = [](const SizeAt& a, const SizeAt& b) { return a.bytes < b.bytes; };
  const auto [least, most] = std::minmax_element(bins.begin(), bins.end(), by_size);
  double noise = noise_of(bins, most->bytes - least->bytes);
  std::vector<Line> lines = Segments(bins, noise).lines();
  // What goes up and down steadily has no noise, and a line for each way.
  for (; lines.size() > kMostLines; lines = Segments(bins, noise).lines()) noise *= 2;
  const std::size_t begin = begin_of_growth(bins, lines);
  if (begin == 0) return std::nullopt;
  // Where two lines meet, their common point belongs to either.
  const bool meets = bins[begin].bytes - bins[begin - 1].bytes < noise;
  const SizeAt& start = bins[meets ? begin : begin - 1];
  const double growth = bins.back().bytes - start.bytes;
  if (growth < std::max(kSmallestGrowth, kClearGrowth * noise)) return std::nullopt;
  return GrowthStart{start.time, start.bytes, growth / seconds_between(start, bins.back()) * 60};
}

}  // namespace

// A bin of days is many minutes: what is found in them is looked for again with a shorter time
// before it.
std::optional<GrowthStart> find_growth_start(std::span<const SizeAt> sizes) {
  auto found = find_once(sizes);
  constexpr int kMostLooks = 8;  // each at most half as long as the one before
  for (int i = 0; found && i < kMostLooks && sizes.size() > kMostBins; ++i) {
    const auto end = std::min<std::chrono::nanoseconds>(sizes.back().time, kLongestTime);
    const auto from = found->time - (end - found->time);
    const auto first = std::find_if(sizes.begin(), sizes.end(),
                                    [&](const SizeAt& size) { return size.time >= from; });
    const auto dropped = static_cast<std::size_t>(first - sizes.begin());
    if (dropped < sizes.size() / 4) break;
    sizes = sizes.subspan(dropped);
    const auto closer = find_once(sizes);
    if (!closer) break;
    found = closer;
  }
  return found;
}

std::optional<ProcessIndex> main_grower(std::span<const SeriesPoint> points) {
  struct Rise {
    double first = 0, last = 0;
  };
  std::map<ProcessIndex, Rise> rises;
  for (const SeriesPoint& point : points)
    if (const auto& rss = point[SeriesColumn::kRssBytes])
      rises.try_emplace(point.process, Rise{*rss, *rss}).first->second.last = *rss;
  const auto less = [](const auto& a, const auto& b) {
    return a.second.last - a.second.first < b.second.last - b.second.first;
  };
  const auto best = std::max_element(rises.begin(), rises.end(), less);
  return best == rises.end() ? std::nullopt : std::optional(best->first);
}

std::vector<SizeAt> rss_of_process(std::span<const SeriesPoint> points, ProcessIndex process) {
  std::vector<SizeAt> sizes;
  for (const SeriesPoint& point : points)
    if (const auto& rss = point[SeriesColumn::kRssBytes]; rss && point.process == process)
      sizes.push_back({point.time, *rss});
  return sizes;
}

std::optional<GrowthStart> growth_start_of(const Profile& profile) {
  const auto process = main_grower(profile.points);
  if (!process) return std::nullopt;
  std::vector<SizeAt> sizes = profile.earlier;
  const std::vector<SizeAt> own = rss_of_process(profile.points, *process);
  sizes.insert(sizes.end(), own.begin(), own.end());
  drop_insane(sizes);
  if (sizes.empty() || sizes.back().time - sizes.front().time < kShortestRun) return std::nullopt;
  return find_growth_start(sizes);
}

Result<Unit> load_earlier(const std::string& path, Profile& profile) {
  MEMSPY_TRY(reader, Reader::open(path));
  MEMSPY_TRY(history, Profile::load(reader));
  const auto grower = main_grower(profile.points);
  const ProcessRecord* process = grower ? profile.find_process(*grower) : nullptr;
  if (process == nullptr) return Unit{};
  const auto same = std::find_if(
      history.processes.begin(), history.processes.end(),
      [&](const ProcessRecord& record) { return record.identity == process->identity; });
  if (same == history.processes.end())
    return make_error(Errc::kUsage, path + " has nothing of process " +
                                        std::to_string(process->identity.pid.value));
  const auto shift = std::chrono::duration<double>(history.header.wall_start) -
                     std::chrono::duration<double>(profile.header.wall_start);
  if (std::abs(shift.count()) > std::chrono::duration<double>(kLongestTime).count()) return Unit{};
  profile.earlier = rss_of_process(history.points, same->index);
  drop_insane(profile.earlier);
  for (SizeAt& size : profile.earlier)
    size.time += history.header.wall_start - profile.header.wall_start;
  std::erase_if(profile.earlier,
                [](const SizeAt& size) { return size.time >= std::chrono::nanoseconds(0); });
  return Unit{};
}

}  // namespace memspy::recording
