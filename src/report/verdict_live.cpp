#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <vector>

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

// What was told by watched blocks, and what by first touch, by stack.
using Growth = std::map<recording::ProfileKey, recording::ProfileValue>;
struct LiveParts {
  Growth watched, touched;
  std::uint64_t watched_bytes = 0, touched_bytes = 0;
};

LiveParts parts_of(const Profile& profile) {
  LiveParts parts{{}, profile.growth};
  for (const LiveRecord& live : profile.live) {
    const recording::ProfileKey key{live.process, live.thread, live.stack};
    const auto rest = parts.touched.find(key);
    if (rest == parts.touched.end() || rest->second.net_bytes() <= 0) continue;
    const auto left = static_cast<std::uint64_t>(rest->second.net_bytes());
    const std::uint64_t bytes = std::min(live.bytes, left);
    rest->second.returned_bytes += bytes;
    parts.watched[key].touched_bytes += bytes;
    parts.watched_bytes += bytes;
  }
  for (const auto& [key, value] : parts.touched)
    parts.touched_bytes += static_cast<std::uint64_t>(std::max<std::int64_t>(value.net_bytes(), 0));
  return parts;
}

// Of a part, which has the run's stacks and none of its series.
std::vector<Culprit> culprits_of(const Profile& profile, const Growth& growth,
                                 const recording::StackShape& shape) {
  Profile part;
  part.header = profile.header;
  part.processes = profile.processes;
  part.threads = profile.threads;
  part.stacks = profile.stacks;
  part.growth = growth;
  return charges(recording::shape_stacks(part, by_lines(shape))).culprits;
}

// Larger blocks and native memory: who touched a page first is not always who keeps what is on it.
std::string first_touches(const Profile& profile, const LiveParts& parts,
                          const recording::StackShape& shape) {
  const auto found = culprits_of(profile, parts.touched, shape);
  if (found.empty()) return "";
  return fmt::format(
      "{} first touched {} of {} of larger blocks and native memory, and may be a neighbour of who "
      "keeps them",
      found[0].text,
      percent(static_cast<double>(found[0].amount), static_cast<double>(parts.touched_bytes)),
      format_bytes(parts.touched_bytes));
}

// Of a part of the run: which blocks were watched is known of the whole alone.
std::string of_window(const Profile& profile, const recording::StackShape& shape) {
  const RunFigures f = run_figures(profile);
  const auto found = charges(recording::shape_stacks(profile, by_lines(shape))).culprits;
  const std::string time = format_duration(f.duration);
  if (found.empty())
    return fmt::format("mostly unattributed: {} that the heap grew by in these {} has no stack",
                       format_bytes(f.growth_bytes), time);
  std::string text = fmt::format(
      "{} made or first touched {} of {} that was there in the end of what came in these {}",
      found[0].text,
      percent(static_cast<double>(found[0].amount), static_cast<double>(f.growth_bytes)),
      format_bytes(f.growth_bytes), time);
  return text + next_culprits(found, f.growth_bytes);
}

}  // namespace

std::string live_verdict(const Profile& profile, const recording::StackShape& shape) {
  const RunFigures f = run_figures(profile);
  const std::string time = format_duration(f.duration);
  if (f.growth_bytes < kSteadyHeapBytes) {
    return fmt::format("steady: the heap grew by {} in {}, and {} of what was there was given back",
                       format_bytes(f.growth_bytes), time, format_bytes(f.shrink_bytes));
  }
  if (!profile.window.whole()) return of_window(profile, shape);
  const LiveParts parts = parts_of(profile);
  const auto found = culprits_of(profile, parts.watched, shape);
  const std::string touches = first_touches(profile, parts, shape);
  std::string text;
  if ((found.empty() && touches.empty()) || 2 * f.unattributed_bytes > f.growth_bytes) {
    text = fmt::format(
        "mostly unattributed: of {} that the heap grew by in {}, {} has no stack",
        format_bytes(f.growth_bytes), time,
        percent(static_cast<double>(f.unattributed_bytes), static_cast<double>(f.growth_bytes)));
    if (!found.empty())
      text += fmt::format("; {} made {}", found[0].text, format_bytes(found[0].amount));
    return text + doubt(profile, f.growth_bytes);
  }
  if (!found.empty()) {
    text = fmt::format(
        "{} made {} of the {} that the heap grew by in {} and still holds{}", found[0].text,
        percent(static_cast<double>(found[0].amount), static_cast<double>(parts.watched_bytes)),
        format_bytes(parts.watched_bytes), time, least_age(profile));
    text += next_culprits(found, parts.watched_bytes) + doubt(profile, parts.watched_bytes);
  }
  // Few of them are worth no word beside the others.
  if (!touches.empty() && (found.empty() || parts.touched_bytes > f.growth_bytes / 20))
    text = text.empty() ? fmt::format("in {}, {}", time, touches) : text + "; besides, " + touches;
  if (f.unattributed_bytes > f.growth_bytes / 20)
    text += fmt::format("; {} is unattributed", format_bytes(f.unattributed_bytes));
  if (f.shrink_bytes > f.growth_bytes / 10)
    text += fmt::format("; {} of what was there before was given back meanwhile",
                        format_bytes(f.shrink_bytes));
  return text;
}

}  // namespace memspy::report
