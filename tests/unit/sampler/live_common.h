// What the tests of mode live have in common.
#pragma once

#include "base/clock.h"
#include "sampler/live/live_owner.h"

namespace memspy::sampler {

inline constexpr SteadyTime kStart{std::chrono::hours(1)};
inline LiveOwner owner(std::uint32_t stack) { return {ThreadIndex{1}, StackId{stack}}; }

}  // namespace memspy::sampler
