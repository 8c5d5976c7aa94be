// Who has taken a block.
#pragma once

#include "memspy/frame.h"
#include "memspy/process.h"

namespace memspy::sampler {

struct LiveOwner {
  ThreadIndex thread;
  StackId stack;
  auto operator<=>(const LiveOwner&) const = default;
};

}  // namespace memspy::sampler
