// A stack that was copied out by a program in the kernel, at the moment itself: what it has to know
// of this interpreter, and what it brings. No reads of the target's memory here.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "cpython/anchors.h"
#include "cpython/layout.h"
#include "memspy/address.h"

namespace memspy::cpython {

// Where the chain of frames of a thread begins and goes on; offsets in bytes.
struct WalkPlan {
  RemoteAddr interpreters_head;  // the address of the pointer to the newest one
  RemoteAddr collecting_flag;    // where the process has one collector; else 0
  std::uint32_t interpreter_next = 0, interpreter_threads = 0;
  std::uint32_t interpreter_collecting = 0;  // where each interpreter has one; else 0
  std::uint32_t thread_prev = 0, thread_next = 0, thread_interpreter = 0, thread_id = 0;
  std::uint32_t thread_anchor = 0;
  bool through_cframe = false;
  std::uint32_t cframe_current = 0;
  std::uint32_t frame_previous = 0;
  bool frames_in_chunks = false;   // an outer frame mostly lies right below the inner one
  std::uint32_t frame_bytes = 0;   // of each frame, from its start: all that FrameWalker looks at
  std::uint32_t gc_next = 0;       // in the collector's head of an object
  std::uint32_t thread_bytes = 0;  // of a thread's state, from its start: all of the fields above
};

// nullopt: where the interpreters are is not known (a stripped 3.6).
std::optional<WalkPlan> plan_walk(const Layout& layout, const Anchors& anchors);

struct RecordedFrame {
  RemoteAddr frame;
  std::span<const std::byte> bytes;
};

struct RecordedStack {
  RemoteAddr state;                       // the thread state
  std::span<const RecordedFrame> frames;  // innermost first; may be none
  bool collecting = false;
  bool truncated = false;  // outer frames were left out
};

}  // namespace memspy::cpython
