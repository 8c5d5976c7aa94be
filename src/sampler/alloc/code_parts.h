// What belongs to a function that lies elsewhere in its file: what it leaves for good by a jump
// (its cold part, a function that it ends in), and what it calls. From machine code and the bounds
// of functions, so stripped files will do.
#pragma once

#include <vector>

#include "symbolize/cfi_table.h"
#include "symbolize/function_bounds.h"

namespace memspy::sampler {

using FunctionRange = symbolize::FunctionBounds::Range;  // link addresses

enum class Reach {
  kJumps,         // cold parts, and functions that it ends in
  kJumpsAndCalls  // …and those that it calls
};

// Of the file that `rows` reads. Without `function` itself; stubs that lead to other files are left
// out. At most a few dozen.
std::vector<FunctionRange> parts_of(const symbolize::CfiTable& rows,
                                    const symbolize::FunctionBounds& bounds,
                                    const FunctionRange& function, Reach reach);

}  // namespace memspy::sampler
