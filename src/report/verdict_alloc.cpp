#include <algorithm>
#include <cmath>

#include <spdlog/fmt/fmt.h>

#include "base/duration.h"
#include "report/display.h"
#include "report/figures.h"
#include "report/verdict_parts.h"

namespace memspy::report {
namespace {

using recording::Profile;

constexpr double kLittleShare = 0.01;  // of the CPU time: less is not worth a change
constexpr double kKernelShare = 0.2;   // of all CPU time: less is not worth a word

std::string of_cpu(const RunFigures& f) {
  return fmt::format("{} of {} of CPU time in user mode",
                     percent(to_seconds(f.allocating), to_seconds(f.user_cpu)),
                     format_duration(f.user_cpu));
}

// Page faults of fresh memory, for one: a clock of user mode does not see them.
std::string in_kernel(const RunFigures& f) {
  if (f.cpu <= f.user_cpu || to_seconds(f.cpu - f.user_cpu) < kKernelShare * to_seconds(f.cpu))
    return "";
  return fmt::format("; {} more of CPU time was spent in the kernel, and is not looked into",
                     format_duration(f.cpu - f.user_cpu));
}

// The standard error of a share that so many samples tell: as if one more had told of it and one
// more of something else, since a few that agree do not make it certain.
std::string doubt(double share, std::uint64_t samples) {
  if (samples == 0) return "";
  if (samples < kFewForShares)
    return fmt::format("; told from {} samples, which are too few for shares: record for longer",
                       samples);
  const double n = static_cast<double>(samples);
  const double likely = (share * n + 1) / (n + 2);
  return fmt::format("; told from {} samples, the first share is good to \u00b1{}", samples,
                     percent(std::sqrt(likely * (1 - likely) / n), 1));
}

}  // namespace

std::string alloc_verdict(const Profile& profile, const recording::StackShape& shape) {
  const RunFigures f = run_figures(profile);
  if (f.user_cpu.count() <= 0)
    return fmt::format("idle: no CPU time in user mode was seen in {}",
                       format_duration(f.duration));
  const auto shaped = recording::shape_stacks(profile, by_lines(shape));
  const auto found = charges(shaped).culprits;
  if (found.empty())
    return fmt::format("no allocation was seen in {} of CPU time in user mode",
                       format_duration(f.user_cpu)) +
           in_kernel(f);
  const auto share = [&](std::uint64_t amount) {
    return static_cast<double>(amount) /
           static_cast<double>(std::max<std::uint64_t>(shaped.total, 1));
  };
  std::string text;
  if (to_seconds(f.allocating) < kLittleShare * to_seconds(f.user_cpu)) {
    text = fmt::format("little time goes into allocating: {}; {} spent {} of that", of_cpu(f),
                       found[0].text, percent(share(found[0].amount), 1));
  } else {
    text = fmt::format("{} spent {} of the time that went into allocating, in all {}",
                       found[0].text, percent(share(found[0].amount), 1), of_cpu(f));
  }
  text += next_culprits(found, shaped.total);
  return text + in_kernel(f) + doubt(share(found[0].amount), f.samples);
}

}  // namespace memspy::report
