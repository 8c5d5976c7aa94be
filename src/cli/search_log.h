// How an interpreter was found, for -v.
#pragma once

#include <vector>

#include "cpython/interpreter.h"

namespace memspy::cli {

void log_search(const std::vector<cpython::LocatorAttempt>& attempts);

}  // namespace memspy::cli
