// From recorded addresses of native code to frames with names and lines.
#pragma once

#include <string>
#include <vector>

#include "cli/env.h"
#include "memspy/frame.h"
#include "symbolize/symbolizer.h"
#include "unwind/code_map.h"

namespace memspy::cli {

// The functions that a native frame stands for: those inlined there, innermost first, then the one
// they are in. Each keeps the address. Python frames and markers come back as they are.
std::vector<Frame> name_frame(const Frame& frame, symbolize::Symbolizer& symbolizer);

// The files that a live look, or a run, has open: they may be gone from where they were.
void offer_modules(const unwind::ModuleStore& modules, symbolize::Symbolizer& symbolizer);

// On stderr: whose names or lines are missing, and which package has them. One line.
void tell_missing(const symbolize::Symbolizer& symbolizer, Env& env);

}  // namespace memspy::cli
