// The part of the engine that makes native frames of what a stop has taken.
#include "sampler/engines/page_fault.h"

namespace memspy::sampler {

// nullptr: nobody has asked for native frames.
NativeStacks* PageFaultEngine::natives_of(const Target& target) {
  if (!context_.options.native) return nullptr;
  auto& natives = natives_[target.index().value];
  if (!natives)
    natives = std::make_unique<NativeStacks>(context_.proc, target.pid(), target.memory(),
                                             *context_.modules);
  return natives.get();
}

// Threads without a Python state are named; those of an interpreter that is starting are told
// apart.
StackId PageFaultEngine::intern_native(Thread& thread, const Pending& sample) {
  Target& target = *thread.target;
  if (sample.outside) look_for_interpreter(target);
  thread.faults.set_native(true);  // no record names such a stack
  static const cpython::RawStack kNone;
  const bool python = sample.python && sample.readable;
  const cpython::RawStack& raw = python ? thread.stack : kNone;
  NativeStacks& natives = *natives_of(target);
  const unwind::UnwindCounts before = natives.counts();
  const auto merged = natives.merge(raw);
  count_native(before, natives.counts());
  StackId outermost = kNoStack;
  if (python) {
    roster_.name_thread(target, thread.tid, *thread.thread_id);
  } else {
    const std::string name = context_.proc.comm(target.pid(), thread.tid).value_or("");
    outermost = interner_.marker(sample.outside ? "[outside Python]"
                                 : name.empty() ? "[native thread]"
                                                : "[native thread " + name + "]");
  }
  return interner_.merged_stack(target.index(), target.reader(), raw, natives.stack(), merged,
                                outermost);
}

void PageFaultEngine::count_native(const unwind::UnwindCounts& before,
                                   const unwind::UnwindCounts& now) {
  auto& counters = context_.counters;
  counters.native_stacks.fetch_add(now.stacks - before.stacks, std::memory_order_relaxed);
  counters.native_frames.fetch_add(now.frames - before.frames, std::memory_order_relaxed);
  counters.native_guessed.fetch_add(now.guessed - before.guessed, std::memory_order_relaxed);
  counters.native_cut.fetch_add(now.cut - before.cut, std::memory_order_relaxed);
  counters.native_lost.fetch_add(now.lost - before.lost, std::memory_order_relaxed);
  counters.native_broken.fetch_add(now.broken - before.broken, std::memory_order_relaxed);
}

}  // namespace memspy::sampler
