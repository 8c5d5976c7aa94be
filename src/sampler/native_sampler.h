// Native frames in the samples of an engine: the native stacks of a run's processes, merged with
// Python's and interned.
//
// Of a fault record only the top of the stack is there: its native frames up to the innermost
// evaluation loop, or as far as it goes. What lies outside is taken from stops: the frames around
// the same Python function with the same callers, or, in a thread without Python, around the same
// native frame at the same place of its stack.
//
// Tracer thread.
#pragma once

#include <map>
#include <memory>
#include <unordered_map>
#include <vector>

#include "cpython/stack_reader.h"
#include "sampler/engines/engine.h"
#include "sampler/fault_matcher.h"
#include "sampler/native_stacks.h"
#include "sampler/stack_interner.h"
#include "sampler/target.h"

namespace memspy::sampler {

class NativeSampler {
 public:
  NativeSampler(EngineContext& context, StackInterner& interner)
      : context_(context), interner_(interner) {}

  // The native stacks of a process, to be taken in a stop.
  NativeStacks& of(const Target& target);
  void forget(const Target& target);
  void forget_thread(const Target& target, Tid tid);

  // After the stop: what was taken last is unwound, merged with the thread's Python stack and
  // counted. nullptr: it has none, or none that was readable.
  void merge(const Target& target, const cpython::RawStack* python);
  // What was merged last, with the same `python`. Where that is nullptr the stack begins with
  // `outermost`, or with "[native thread NAME]".
  StackId intern(Target& target, Tid tid, const cpython::RawStack* python,
                 StackId outermost = kNoStack);
  // What was merged last, with the same `python`, is what stands around records of its kind.
  void learn_around(Target& target, const cpython::RawStack& python);
  // The stack of a fault record: within its Python frames, which are not empty, ...
  InternedStack intern_record(Target& target, const attach::FaultRecord& record,
                              const cpython::RawStack& python, bool callers_known);
  // ... or of a thread that has none; as for a stop.
  StackId intern_record(const Target& target, Tid tid, const attach::FaultRecord& record,
                        StackId outermost = kNoStack);

 private:
  // A Python function that is innermost, and its callers.
  struct PythonKey {
    ProcessIndex process;
    std::uint32_t function = 0;  // RawFrame::code
    StackId callers;
    auto operator<=>(const PythonKey&) const = default;
  };
  // A frame of a thread without Python: where its part of the stack begins, and its instruction.
  struct NativeKey {
    ProcessIndex process;
    Tid tid;
    std::uint64_t stack = 0, code = 0;
    auto operator<=>(const NativeKey&) const = default;
  };

  StackId intern_native(const Target& target, Tid tid, StackId outermost);
  StackId thread_marker(const Target& target, Tid tid);
  StackId known_thread_marker(const Target& target, Tid tid);
  void count(const unwind::UnwindCounts& before, const unwind::UnwindCounts& now);
  void count_record(const unwind::UnwindCounts& before, unwind::UnwindCounts now, bool whole);

  EngineContext& context_;
  StackInterner& interner_;
  std::unordered_map<std::uint32_t, std::unique_ptr<NativeStacks>> processes_;  // by index
  std::vector<MergedFrame> merged_;
  std::map<PythonKey, StackId> around_python_;  // what stops have shown outside of it
  std::map<NativeKey, StackId> around_native_;  // the same, with the frame itself
  std::map<Tid, StackId> markers_;              // of threads, as stops have seen them
};

}  // namespace memspy::sampler
