// Turns captured stacks into the ids that records use; new frames and stacks are announced in the
// event queue. Runs after the thread goes on. Tracer thread only.
#pragma once

#include <span>
#include <string_view>
#include <unordered_map>

#include "cpython/stack_reader.h"
#include "sampler/event_queue.h"
#include "sampler/merged_stack.h"

namespace memspy::sampler {

class StackInterner {
 public:
  explicit StackInterner(EventQueue& queue) : queue_(queue) {}

  // The stack of Python frames (kNoStack: there are none), with [gc] innermost while the collector
  // runs, and a mark outside of the innermost frame where not all of its callers are known.
  StackId python_stack(ProcessIndex process, const cpython::StackReader& reader,
                       const cpython::RawStack& raw, bool callers_known = true);
  // Frames of it. `without_line`: the innermost is named without its line.
  StackId python_prefix(ProcessIndex process, const cpython::StackReader& reader,
                        std::span<const cpython::RawFrame> innermost_first,
                        bool without_line = false);
  // What of it lies outside of the innermost Python frame, and what that makes together with this
  // frame and the native frames that it has called. There is such a frame.
  StackId callers(ProcessIndex process, const cpython::StackReader& reader,
                  const cpython::RawStack& raw, bool callers_known = true);
  StackId with_innermost(StackId callers, ProcessIndex process, const cpython::StackReader& reader,
                         const cpython::RawStack& raw,
                         std::span<const unwind::NativeFrame> called_innermost_first = {});
  // The same merged with native frames.
  StackId merged_stack(ProcessIndex process, const cpython::StackReader* reader,
                       const cpython::RawStack& raw, const unwind::NativeStack& native,
                       std::span<const MergedFrame> innermost_first, StackId outermost = kNoStack);
  // The frame within `outer`, which may be kNoStack.
  StackId within(StackId outer, const unwind::NativeFrame& frame);
  // A stack of one marker: "[native thread]", "[starting]".
  StackId marker(std::string_view name);

 private:
  FrameId frame(ProcessIndex process, const cpython::StackReader& reader,
                const cpython::RawFrame& raw);
  FrameId define(const Frame& frame);
  StackId extend(StackId parent, FrameId frame);
  StackId collecting(StackId stack);

  struct RawKey {
    std::uint32_t process, code;
    std::int32_t instruction;
    bool operator==(const RawKey&) const = default;
  };
  struct RawKeyHash {
    std::size_t operator()(const RawKey& k) const {
      return (static_cast<std::size_t>(k.process) * 1000003U + k.code) * 2654435761U +
             static_cast<std::size_t>(static_cast<std::uint32_t>(k.instruction));
    }
  };
  EventQueue& queue_;
  StackTable table_;
  std::unordered_map<RawKey, FrameId, RawKeyHash> frames_;
  struct CodeKey {
    const unwind::CodeModule* module;
    std::uint64_t address;
    bool operator==(const CodeKey&) const = default;
  };
  struct CodeKeyHash {
    std::size_t operator()(const CodeKey& k) const {
      return reinterpret_cast<std::size_t>(k.module) * 1000003U + k.address;
    }
  };
  FrameId native_frame(const unwind::NativeFrame& native);
  std::unordered_map<CodeKey, FrameId, CodeKeyHash> native_frames_;
};

}  // namespace memspy::sampler
