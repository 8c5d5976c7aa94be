// One stack out of two: the native one, in which each frame of the interpreter's evaluation loop is
// replaced by the Python frames that it runs. Pure.
#pragma once

#include <cstdint>
#include <vector>

#include "cpython/stack_reader.h"
#include "unwind/unwinder.h"

namespace memspy::sampler {

struct MergedFrame {
  bool python = false;
  std::uint32_t index = 0;  // into RawStack::frames or NativeStack::frames
  bool operator==(const MergedFrame&) const = default;
};

// Innermost first. All Python frames are in it, in their order, whatever the native stack looks
// like: those whose loop was not found stand outside of what was.
std::vector<MergedFrame> merge_stacks(const unwind::NativeStack& native,
                                      const cpython::RawStack& python);

}  // namespace memspy::sampler
