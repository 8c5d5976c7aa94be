// The sentences of a comparison of recordings of mode alloc.
#include <algorithm>

#include <spdlog/fmt/fmt.h>

#include "base/duration.h"
#include "recording/text.h"
#include "report/cells.h"
#include "report/diff_parts.h"

namespace memspy::report {
namespace {

constexpr auto kTime = recording::Measure::kMicroseconds;

// Of a second of CPU time.
double whole_rate(const RunFigures& f) {
  const double whole = to_seconds(f.user_cpu);
  return whole > 0 ? 1e6 * to_seconds(f.allocating) / whole : 0;
}

// "" where all of them have computed.
std::string idle_one(const Diff& diff) {
  for (std::size_t i = 0; i < diff.recordings.size(); ++i)
    if (diff.recordings[i].figures.user_cpu.count() <= 0) return letter(i);
  return "";
}

// What a function that has as much as the one with the largest doubt would have to change by.
double smallest_clear_change(const Diff& diff) {
  double size = std::max(kTimeWorthAWord, kClearErrors * error_of_nothing(diff));
  for (const auto& row : diff.rows) size = std::max(size, kClearErrors * row.standard_error());
  return size;
}

std::string percent_of_cpu(double rate) { return percent(rate, 1e6); }

}  // namespace

std::string time_diff_verdict(const Diff& diff) {
  if (const std::string idle = idle_one(diff); !idle.empty())
    return "not to be compared: no CPU time in user mode was seen in " + idle;
  const std::string last = letter(diff.recordings.size() - 1);
  const DiffRow* worse = most_changed(diff, /*up=*/true);
  const DiffRow* better = most_changed(diff, /*up=*/false);
  std::string text = "nothing clearly spends more time allocating in " + last;
  if (worse != nullptr)
    text = fmt::format(
        "{} spends more time allocating in {}: {} of CPU time, from {} to {}",
        recording::escape_text(worse->name), last, signed_rate_text(kTime, worse->delta_rate),
        rate_text(kTime, worse->cells.front().rate), rate_text(kTime, worse->cells.back().rate));
  if (better != nullptr)
    text += fmt::format("; {} spends less: {}", recording::escape_text(better->name),
                        signed_rate_text(kTime, better->delta_rate));
  const double before = whole_rate(diff.first().figures), now = whole_rate(diff.last().figures);
  return text + fmt::format("; in all {} in {} and {} in {} ({} and {} of the CPU time)",
                            rate_text(kTime, before), letter(0), rate_text(kTime, now), last,
                            percent_of_cpu(before), percent_of_cpu(now));
}

std::string time_diff_advice(const Diff& diff) {
  if (!idle_one(diff).empty()) return "to do: record both while they work";
  if (const DiffRow* worse = most_changed(diff, /*up=*/true); worse != nullptr) {
    double risen = 0;
    for (const auto& row : diff.rows)
      if (row.clear && row.delta_rate > 0) risen += row.delta_rate;
    return fmt::format("to do: look at {} first, it has {} of what clearly rose; {}",
                       recording::escape_text(worse->name), percent(worse->delta_rate, risen),
                       diff.by == GroupBy::kLine
                           ? "memspy report " + diff.last().name + " -f tree says who calls it"
                           : "--by line says at which line");
  }
  const auto risen = std::max_element(
      diff.rows.begin(), diff.rows.end(),
      [](const DiffRow& a, const DiffRow& b) { return a.delta_rate < b.delta_rate; });
  if (risen != diff.rows.end() && risen->delta_rate >= kTimeWorthAWord)
    return fmt::format(
        "to do: record both for longer; {} has risen by {}, and with so few samples anything below "
        "{} may be chance",
        recording::escape_text(risen->name), rate_text(kTime, risen->delta_rate),
        rate_text(kTime, smallest_clear_change(diff)));
  return fmt::format(
      "nothing to do: what spends {} more in {} would have been seen; longer runs tell smaller "
      "changes",
      rate_text(kTime, smallest_clear_change(diff)), letter(diff.recordings.size() - 1));
}

}  // namespace memspy::report
