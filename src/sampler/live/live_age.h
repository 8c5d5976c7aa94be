// Which blocks count in mode live: those that have lived for so long, and through so many
// collections of the collector, whichever generation they were of.
#pragma once

#include <chrono>
#include <cstdint>

namespace memspy::sampler {

struct LiveAge {
  std::chrono::nanoseconds time{};
  std::uint64_t collections = 0;
};

}  // namespace memspy::sampler
