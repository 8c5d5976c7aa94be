// When a run held most: the high-water mark.
#pragma once

#include <chrono>
#include <cstdint>

#include "memspy/result.h"

namespace memspy::recording {

class Reader;

struct Peak {
  std::chrono::nanoseconds time{};  // of the tick that closed it, since the start of the run
  std::uint64_t bytes = 0;
  bool of_rss = false;  // bytes are RSS; else what had grown, by the records
};

// Of all processes together. In mode live, of what has grown by the records of those that are
// there; else of RSS, where the recording has it. Of a run that never grew it is the first tick.
Result<Peak> find_peak(const Reader& reader);

}  // namespace memspy::recording
