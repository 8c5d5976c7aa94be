// The parts of the page's data. Private to sinks.
#pragma once

#include <string>

#include "sinks/page.h"

namespace memspy::sinks {

std::string page_run(const recording::Profile& profile, const FormatOptions& options);
// One object per process that has points.
std::string page_series(const recording::Profile& profile);
std::string page_heap(const snapshot::Look& look, const std::string& document);

}  // namespace memspy::sinks
