// Reads Python stacks of one target. Built for a sampler: capture() runs while the thread is
// stopped and costs a handful of system calls, names and line tables are cached by code object,
// resolve() runs after the thread goes on and reads nothing.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "base/clock.h"
#include "cpython/interpreter.h"
#include "cpython/recorded_stack.h"
#include "memspy/frame.h"

namespace memspy::cpython {

struct RawFrame {
  RemoteAddr frame;              // PyFrameObject or _PyInterpreterFrame
  std::uint32_t code = 0;        // index into the reader's code cache
  std::int32_t instruction = 0;  // byte offset into the bytecode
  RemoteAddr bytecode = {};      // its first instruction, in the target's memory
};

// One call from C into the interpreter: the Python frames that its evaluation loop runs.
struct EntryCall {
  std::uint32_t frames = 0;  // of RawStack::frames; 0: the first is not set up yet
  RemoteAddr boundary;       // 3.12+: the interpreter's own frame, on the C stack of that loop
};

struct RawStack {
  std::vector<RawFrame> frames;    // innermost first
  std::vector<EntryCall> calls;    // the same frames by the calls from C they belong to
  std::int64_t bytecode_size = 0;  // of the innermost frame
  bool collecting = false;         // the garbage collector runs on this interpreter
  bool truncated = false;          // longer than kMaxFrameDepth
};

struct LocalVariable {
  std::string name;
  std::string repr;  // bounded; "<int at 0x7f…>" where a value is not decoded
};

struct StackReaderStats {
  std::uint64_t captures = 0, rejected = 0;
  std::uint64_t reads = 0;  // system calls for memory
  std::uint64_t codes = 0;  // code objects cached
};

inline constexpr std::size_t kMaxCodeSearch = 32 << 10;  // bytes

class StackReader {
 public:
  // `interpreter` is copied; `memory` must outlive the reader. One thread at a time.
  StackReader(const Interpreter& interpreter, const MemoryReader& memory);
  StackReader(StackReader&&) noexcept;
  StackReader& operator=(StackReader&&) noexcept;
  ~StackReader();

  const Interpreter& interpreter() const;

  // The thread state of a kernel thread, by its fs_base (= pthread_self). Cached and revalidated;
  // the list is walked only for an unknown or stale id. Where several interpreters have a state for
  // one thread, the one that runs. 0: the thread has no Python state (a native thread).
  RemoteAddr find_thread_state(std::uint64_t thread_id);

  // Reuses `out`'s storage. kCorrupt or kUnreadable: the chain did not hold together; count it.
  // A thread state without frames gives an empty stack. kTimeout: at `deadline` it was not whole.
  Result<Unit> capture(RemoteAddr thread_state, RawStack& out,
                       SteadyTime deadline = SteadyTime::max());

  // The same from what was copied out at another moment. Names and lines come from the target's
  // memory as it is now; a function that was freed meanwhile makes it kCorrupt or kUnreadable.
  Result<Unit> decode(const RecordedStack& recorded, RawStack& out);

  // The function whose bytecode holds `instruction`, as a stack of that one frame. From 3.11 on,
  // where the bytecode lies inside its code object, at most kMaxCodeSearch behind its start. False:
  // it was not found there.
  bool find_function(RemoteAddr instruction, RawStack& out);

  // Appends frames innermost first; no reads. Two raw frames with equal (code, instruction) resolve
  // equally.
  void resolve(const RawStack& raw, std::vector<Frame>& out) const;
  Frame resolve(const RawFrame& raw) const;

  // For `dump -l`; reads much more than capture. `repr_cap`: characters per value.
  Result<std::vector<LocalVariable>> locals(const RawFrame& frame, std::size_t repr_cap);

  const StackReaderStats& stats() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace memspy::cpython
