#include "sampler/native_sampler.h"

namespace memspy::sampler {
namespace {

const cpython::RawStack& or_none(const cpython::RawStack* python) {
  static const cpython::RawStack kNone;
  return python == nullptr ? kNone : *python;
}

}  // namespace

NativeStacks& NativeSampler::of(const Target& target) {
  auto& natives = processes_[target.index().value];
  if (!natives)
    natives = std::make_unique<NativeStacks>(context_.proc, target.pid(), target.memory(),
                                             *context_.modules);
  return *natives;
}

void NativeSampler::merge(const Target& target, const cpython::RawStack* python) {
  NativeStacks& natives = of(target);
  const unwind::UnwindCounts before = natives.counts();
  merged_ = natives.merge(or_none(python));
  count(before, natives.counts());
}

StackId NativeSampler::intern(Target& target, Tid tid, const cpython::RawStack* python,
                              StackId outermost) {
  if (python == nullptr && outermost == kNoStack) outermost = thread_marker(target, tid);
  return interner_.merged_stack(target.index(), target.reader(), or_none(python),
                                of(target).stack(), merged_, outermost);
}

StackId NativeSampler::thread_marker(const Target& target, Tid tid) {
  const std::string name = context_.proc.comm(target.pid(), tid).value_or("");
  return interner_.marker(name.empty() ? "[native thread]" : "[native thread " + name + "]");
}

void NativeSampler::count(const unwind::UnwindCounts& before, const unwind::UnwindCounts& now) {
  auto& counters = context_.counters;
  counters.native_stacks.fetch_add(now.stacks - before.stacks, std::memory_order_relaxed);
  counters.native_frames.fetch_add(now.frames - before.frames, std::memory_order_relaxed);
  counters.native_guessed.fetch_add(now.guessed - before.guessed, std::memory_order_relaxed);
  counters.native_cut.fetch_add(now.cut - before.cut, std::memory_order_relaxed);
  counters.native_lost.fetch_add(now.lost - before.lost, std::memory_order_relaxed);
  counters.native_broken.fetch_add(now.broken - before.broken, std::memory_order_relaxed);
}

}  // namespace memspy::sampler
