// When a run held most of what has grown in it: the high-water mark.
#pragma once

#include <chrono>
#include <cstdint>

#include "memspy/result.h"

namespace memspy::recording {

class Reader;

struct Peak {
  std::chrono::nanoseconds time{};  // of the tick that closed it, since the start of the run
  std::int64_t bytes = 0;           // more than at the start; what no stack explains included
};

// Of the growth of all processes together, by its records: in mode live that of the heap, else that
// of RSS. Of a run that never grew it is the first tick.
Result<Peak> find_peak(const Reader& reader);

}  // namespace memspy::recording
