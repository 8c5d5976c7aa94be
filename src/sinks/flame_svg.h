// Stacks as one SVG file: the classic flame graph, with zoom and search by a script inside it.
// Private to sinks.
#pragma once

#include <cstdint>
#include <ostream>
#include <string>
#include <vector>

#include "memspy/result.h"
#include "recording/measure.h"

namespace memspy::sinks {

struct FlameInput {
  struct Stack {
    const std::vector<std::uint32_t>* frames;  // into names, outermost first
    std::uint64_t amount = 0;
  };
  recording::Measure measure = recording::Measure::kBytes;  // of the stacks' amounts
  std::string title, subtitle;
  std::vector<std::string> names;
  std::vector<std::string> groups;  // by name: frames of one group have one hue; markers have ""
  std::vector<Stack> stacks;
};

// Frames narrower than a fifth of a pixel are left out, and what is above the 512th frame of a
// stack; the file says how many bytes, and how many stacks, that are.
Result<Unit> write_flame_svg(const FlameInput& input, std::ostream& out);

}  // namespace memspy::sinks
