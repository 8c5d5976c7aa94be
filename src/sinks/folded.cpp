#include <algorithm>

#include "recording/shaped.h"
#include "recording/text.h"
#include "sinks/writers.h"

namespace memspy::sinks {

// No comment lines: the readers of this format know none. What separates frames, and lines, is
// escaped in names; so is the backslash, which makes the escape reversible.
Result<Unit> write_folded(const recording::Profile& profile, const FormatOptions& options,
                          std::ostream& out) {
  const auto shaped = recording::shape_stacks(profile, options.shape, options.amount);
  std::vector<std::string> names;
  names.reserve(shaped.frames.size());
  for (const auto& frame : shaped.frames)
    names.push_back(recording::escape_text(frame.text, ";\\"));

  std::vector<std::string> lines;
  lines.reserve(shaped.stacks.size());
  for (const auto& stack : shaped.stacks) {
    std::string line;
    for (const auto frame : stack.frames) line.append(line.empty() ? "" : ";").append(names[frame]);
    lines.push_back(line + " " + std::to_string(stack.amount) + "\n");
  }
  std::sort(lines.begin(), lines.end());
  for (const auto& line : lines) out << line;
  out.flush();
  return check_stream(out);
}

}  // namespace memspy::sinks
