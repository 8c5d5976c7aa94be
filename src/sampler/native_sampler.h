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
#include <tuple>
#include <unordered_map>
#include <vector>

#include "cpython/stack_reader.h"
#include "sampler/engines/engine.h"
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

  // After the stop: what was taken last is unwound, merged with the thread's Python stack and
  // counted. nullptr: it has none, or none that was readable.
  void merge(const Target& target, const cpython::RawStack* python);
  // What was merged last, with the same `python`. Where that is nullptr the stack begins with
  // `outermost`, or with "[native thread NAME]".
  StackId intern(Target& target, Tid tid, const cpython::RawStack* python,
                 StackId outermost = kNoStack);
  // The stack of a fault record: within its Python frames, which are not empty, ...
  StackId intern(Target& target, const attach::FaultRecord& record, const cpython::RawStack& python,
                 bool callers_known);
  // ... or of a thread that has none.
  StackId intern(const Target& target, Tid tid, const attach::FaultRecord& record);

 private:
  // The Python function that is innermost, and its callers, of a process.
  using Caller = std::tuple<std::uint32_t, std::uint32_t, std::uint32_t>;
  // A native frame: the process, where its part of the stack begins, its instruction.
  using Standing = std::tuple<std::uint32_t, std::uint64_t, std::uint64_t>;

  Caller caller_of(const Target& target, const cpython::RawStack& python, StackId callers) const;
  void learn_around(Target& target, const cpython::RawStack& python);
  StackId intern_native(const Target& target, StackId outermost);
  StackId thread_marker(const Target& target, Tid tid);
  StackId known_thread_marker(const Target& target, Tid tid);
  const unwind::NativeStack& unwind(const Target& target, const attach::FaultRecord& record,
                                    unwind::UnwindTo to);
  void count(const unwind::UnwindCounts& before, const unwind::UnwindCounts& now);

  EngineContext& context_;
  StackInterner& interner_;
  std::unordered_map<std::uint32_t, std::unique_ptr<NativeStacks>> processes_;  // by index
  std::vector<MergedFrame> merged_;
  std::map<Caller, StackId> around_python_;    // what stops have shown outside of it
  std::map<Standing, StackId> around_native_;  // the same, with the frame itself
  std::map<Tid, StackId> markers_;             // of threads, as stops have seen them
};

}  // namespace memspy::sampler
