// Native stacks from copies, by the call frame information of the files that the code is from.
// Pure but for reading those files: the target goes on meanwhile. One thread at a time.
//
// Where a file has no information (code of a JIT, musl's own functions, hand-written assembly) the
// caller is guessed: by the frame pointer, or by the first word of the stack that follows a call.
// Such frames say so. Whatever the target holds, the walk ends: each frame lies above the one it
// called, and there is a greatest depth.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "unwind/code_map.h"
#include "unwind/stack_copy.h"

namespace memspy::unwind {

inline constexpr std::size_t kMaxNativeDepth = 2048;

enum class FoundBy : std::uint8_t { kRegisters, kRows, kFramePointer, kScan };

struct NativeFrame {
  std::uint64_t code = 0;            // in the target; of a caller: the last byte of its call
  CodePlace place;                   // of `code`
  std::uint64_t stack = 0, cfa = 0;  // its part of the stack; cfa 0: not known
  FoundBy found_by = FoundBy::kRegisters;
};

enum class UnwindEnd : std::uint8_t {
  kOutermost,  // the thread's first function
  kLoop,       // an evaluation loop, and it was asked for no more (UnwindTo::kLoop)
  kCopyEnds,   // the copy was too short
  kNoCaller,   // nothing tells the caller
  kBroken,     // what was found contradicts itself
  kTooDeep,
};

// How far a stack is followed.
enum class UnwindTo : std::uint8_t {
  kOutermost,
  kLoop  // to the innermost evaluation loop of an interpreter, which is the last frame then
};

// A frame of an interpreter's evaluation loop.
bool is_loop(const NativeFrame& frame);

struct NativeStack {
  std::vector<NativeFrame> frames;  // innermost first
  UnwindEnd end = UnwindEnd::kNoCaller;
  bool complete() const { return end == UnwindEnd::kOutermost; }
};

struct UnwindCounts {
  std::uint64_t stacks = 0, frames = 0, guessed = 0, cut = 0, lost = 0, broken = 0;
};

class Unwinder {
 public:
  explicit Unwinder(CodeMap& code) : code_(code) {}

  // Reuses `out`'s storage.
  void unwind(const StackCopy& copy, NativeStack& out, UnwindTo to = UnwindTo::kOutermost);
  const UnwindCounts& counts() const { return counts_; }

 private:
  struct Step {
    Registers registers;  // the caller's
    std::uint64_t cfa = 0;
    FoundBy found_by = FoundBy::kRows;
    bool after_call = true;  // the caller's instruction is a return address
  };
  std::optional<Step> step(const StackCopy& copy, const Registers& registers,
                           const CodePlace& place, UnwindEnd& end);
  std::optional<Step> guess(const StackCopy& copy, const Registers& registers, UnwindEnd& end);
  std::optional<Step> by_frame_pointer(const StackCopy& copy, const Registers& registers);
  void count(const NativeStack& stack);

  CodeMap& code_;
  UnwindCounts counts_;
};

}  // namespace memspy::unwind
