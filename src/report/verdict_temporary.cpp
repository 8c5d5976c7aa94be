#include <spdlog/fmt/fmt.h>

#include "report/display.h"
#include "report/verdict_parts.h"

namespace memspy::report {

std::string temporary_verdict(const recording::Profile& profile,
                              const recording::StackShape& shape) {
  const auto shaped =
      recording::shape_stacks(profile, by_lines(shape), recording::Amount::kTemporary);
  const auto found = charges(shaped).culprits;
  if (found.empty() && shaped.total > 0)
    return fmt::format("of {} objects that were seen to come and go no stack could be read",
                       shaped.total);
  if (found.empty() && !profile.summary)
    return "who makes objects that come and go is told at the end of a run, which this one has not";
  if (found.empty())
    return "no object was seen to come and go in the blocks that were watched; --mode alloc tells "
           "who spends time allocating";
  const auto share = [&](std::uint64_t objects) {
    return percent(static_cast<double>(objects), static_cast<double>(shaped.total));
  };
  std::string text = fmt::format(
      "{} made {} of {} objects that were seen to come and go in the blocks that were watched",
      found[0].text, share(found[0].amount), shaped.total);
  text += next_culprits(found, shaped.total);
  return text + "; how many there were in all is not known: --mode alloc tells what they cost";
}

}  // namespace memspy::report
