// A profile's stacks as outputs show them, with what they did by time: what a window that is chosen
// later is summed up from.
#pragma once

#include "recording/shaped.h"
#include "recording/stack_timeline.h"

namespace memspy::recording {

struct ShapedTimeline {
  // A stack is its parent's and one more frame. Node 0 is the empty stack; parents come first.
  struct Node {
    std::uint32_t parent = 0;
    std::uint32_t frame = 0;  // into frames
  };
  struct Cell {
    std::uint64_t bucket = 0;
    std::uint32_t node = 0;
    std::uint64_t amount = 0, returned = 0, samples = 0;  // as of StackTimeline
  };
  // Of a process: its sum over a window counts only where it is positive.
  struct Rest {
    std::uint64_t bucket = 0;
    std::uint32_t process = 0, node = 0;
    std::int64_t bytes = 0;
  };

  // Mode alloc: of all threads, also where nothing was allocated.
  struct Cpu {
    std::uint64_t bucket = 0;
    std::uint64_t nanoseconds = 0;  // in user mode
  };

  Measure measure = Measure::kBytes;
  std::vector<ShapedFrame> frames;  // in the order in which they came
  std::vector<Node> nodes;
  std::chrono::nanoseconds width{};
  std::vector<Cell> cells;  // ascending by bucket
  std::vector<Rest> rests;  // the same; of growth
  std::vector<Cpu> cpu;     // the same; of time
};

// Over the whole timeline the stacks' sums are those of shape_stacks.
ShapedTimeline shape_timeline(const Profile& profile, const StackShape& shape);

}  // namespace memspy::recording
