// Native frames in the samples of an engine: the native stacks of a run's processes, merged with
// Python's and interned. Tracer thread.
#pragma once

#include <memory>
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
  void forget(const Target& target) { processes_.erase(target.index().value); }

  // After the stop: what was taken last is unwound, merged with the thread's Python stack and
  // counted. nullptr: it has none, or none that was readable.
  void merge(const Target& target, const cpython::RawStack* python);
  // What was merged last, with the same `python`. Where that is nullptr the stack begins with
  // `outermost`, or with "[native thread NAME]".
  StackId intern(Target& target, Tid tid, const cpython::RawStack* python,
                 StackId outermost = kNoStack);

 private:
  StackId thread_marker(const Target& target, Tid tid);
  void count(const unwind::UnwindCounts& before, const unwind::UnwindCounts& now);

  EngineContext& context_;
  StackInterner& interner_;
  std::unordered_map<std::uint32_t, std::unique_ptr<NativeStacks>> processes_;  // by index
  std::vector<MergedFrame> merged_;
};

}  // namespace memspy::sampler
