#include <algorithm>
#include <cmath>
#include <limits>

#include <spdlog/fmt/fmt.h>

#include "base/byte_units.h"
#include "base/duration.h"
#include "report/display.h"
#include "report/figures.h"
#include "report/verdict_parts.h"

namespace memspy::report {
namespace {

using recording::Profile;

constexpr std::uint64_t kSteadyHeapBytes = 64 << 10;  // less is what any program does

// How far shares can be off, by the number of blocks that they were told from: the standard error
// of all of them together.
std::string doubt(const Profile& profile, std::uint64_t growth) {
  double squares = 0;
  std::uint64_t blocks = 0;
  for (const LiveRecord& live : profile.live) {
    squares += std::pow(static_cast<double>(live.standard_error_bytes), 2);
    blocks += live.blocks;
  }
  if (blocks == 0) return "";
  if (blocks < kFewForShares)
    return fmt::format(
        "; told from {} block{} that {} watched, too few for shares: record for longer", blocks,
        blocks == 1 ? "" : "s", blocks == 1 ? "was" : "were");
  return fmt::format("; told from {} blocks that were watched, shares are good to ±{}", blocks,
                     percent(std::sqrt(squares), static_cast<double>(growth)));
}

std::string least_age(const Profile& profile) {
  std::chrono::nanoseconds least = std::chrono::nanoseconds::max();
  std::uint64_t collections = std::numeric_limits<std::uint64_t>::max();
  for (const LiveRecord& live : profile.live) {
    least = std::min(least, live.survived);
    collections = std::min(collections, live.collections);
  }
  if (profile.live.empty()) return "";
  std::string text = fmt::format(" (survived \u2265 {}", format_duration(least));
  if (collections > 0)
    text += fmt::format(" and {} collection{}", collections, collections == 1 ? "" : "s");
  return text + ")";
}

}  // namespace

std::string live_verdict(const Profile& profile, const recording::StackShape& shape) {
  const RunFigures f = run_figures(profile);
  const std::string time = format_duration(f.duration);
  if (f.growth_bytes < kSteadyHeapBytes) {
    return fmt::format("steady: the heap grew by {} in {}, and {} of what was there was given back",
                       format_bytes(f.growth_bytes), time, format_bytes(f.shrink_bytes));
  }
  const auto found = charges(recording::shape_stacks(profile, by_lines(shape))).culprits;
  const auto share = [&](std::uint64_t bytes) {
    return percent(static_cast<double>(bytes), static_cast<double>(f.growth_bytes));
  };
  std::string text;
  if (found.empty() || 2 * f.unattributed_bytes > f.growth_bytes) {
    text = fmt::format("mostly unattributed: of {} that the heap grew by in {}, {} has no stack",
                       format_bytes(f.growth_bytes), time, share(f.unattributed_bytes));
    if (!found.empty()) text += fmt::format("; {} made {}", found[0].text, share(found[0].amount));
    return text + doubt(profile, f.growth_bytes);
  }
  text = fmt::format("{} made {} of the {} that the heap grew by in {} and still holds{}",
                     found[0].text, share(found[0].amount), format_bytes(f.growth_bytes), time,
                     least_age(profile));
  text += next_culprits(found, f.growth_bytes);
  if (f.unattributed_bytes > f.growth_bytes / 20)
    text += fmt::format("; {} is unattributed", share(f.unattributed_bytes));
  if (f.shrink_bytes > f.growth_bytes / 10)
    text += fmt::format("; {} of what was there before was given back meanwhile",
                        format_bytes(f.shrink_bytes));
  return text + doubt(profile, f.growth_bytes);
}

}  // namespace memspy::report
