#include "sampler/native_sampler.h"

#include <algorithm>
#include <span>

namespace memspy::sampler {
namespace {

// Then all are forgotten: they are learnt again within seconds.
constexpr std::size_t kMaxAround = 1U << 15;

template <class Map>
void put(Map& map, const typename Map::key_type& key, StackId stack) {
  if (map.size() >= kMaxAround && !map.contains(key)) map.clear();
  map.insert_or_assign(key, stack);
}

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

void NativeSampler::forget(const Target& target) {
  const auto process = target.index().value;
  processes_.erase(process);
  const auto of_it = [process](const auto& entry) { return std::get<0>(entry.first) == process; };
  std::erase_if(around_python_, of_it);
  std::erase_if(around_native_, of_it);
}

void NativeSampler::merge(const Target& target, const cpython::RawStack* python) {
  NativeStacks& natives = of(target);
  const unwind::UnwindCounts before = natives.counts();
  merged_ = natives.merge(or_none(python));
  count(before, natives.counts());
}

StackId NativeSampler::intern(Target& target, Tid tid, const cpython::RawStack* python,
                              StackId outermost) {
  if (python == nullptr) {
    return intern_native(target, outermost == kNoStack ? thread_marker(target, tid) : outermost);
  }
  learn_around(target, *python);
  return interner_.merged_stack(target.index(), target.reader(), *python, of(target).stack(),
                                merged_, outermost);
}

StackId NativeSampler::intern_native(const Target& target, StackId outermost) {
  StackId stack = outermost;
  const auto& frames = of(target).stack().frames;
  for (auto it = frames.rbegin(); it != frames.rend(); ++it) {
    stack = interner_.native_stack(stack, *it);
    put(around_native_, {target.index().value, it->stack, it->code}, stack);
  }
  return stack;
}

NativeSampler::Caller NativeSampler::caller_of(const Target& target,
                                               const cpython::RawStack& python,
                                               StackId callers) const {
  return {target.index().value, python.frames.front().code, callers.value};
}

void NativeSampler::learn_around(Target& target, const cpython::RawStack& python) {
  const auto innermost =
      std::find(merged_.begin(), merged_.end(), MergedFrame{.python = true, .index = 0});
  if (innermost == merged_.end()) return;
  const cpython::StackReader* reader = target.reader();
  const StackId callers = interner_.callers(target.index(), *reader, python);
  cpython::RawStack frames;  // the collector, where it runs, is not around but within
  frames.frames = python.frames;
  const auto outside =
      std::span(merged_).subspan(static_cast<std::size_t>(innermost - merged_.begin()) + 1);
  const StackId around =
      interner_.merged_stack(target.index(), reader, frames, of(target).stack(), outside);
  put(around_python_, caller_of(target, python, callers), around);
}

StackId NativeSampler::intern(Target& target, const attach::FaultRecord& record,
                              const cpython::RawStack& python, bool callers_known) {
  const cpython::StackReader& reader = *target.reader();
  std::span called = unwind(target, record, unwind::UnwindTo::kLoop).frames;
  if (!called.empty() && unwind::is_loop(called.back())) called = called.first(called.size() - 1);
  StackId callers = interner_.callers(target.index(), reader, python, callers_known);
  const auto around = around_python_.find(caller_of(target, python, callers));
  if (around != around_python_.end()) callers = around->second;
  return interner_.with_innermost(callers, target.index(), reader, python, called);
}

StackId NativeSampler::intern(const Target& target, Tid tid, const attach::FaultRecord& record) {
  const auto& native = unwind(target, record, unwind::UnwindTo::kOutermost);
  std::span frames = native.frames;
  StackId stack = kNoStack;
  if (!frames.empty() && !native.complete()) {
    const auto& last = frames.back();
    const auto around = around_native_.find({target.index().value, last.stack, last.code});
    if (around != around_native_.end()) {
      stack = around->second;
      frames = frames.first(frames.size() - 1);
    }
  }
  if (stack == kNoStack) stack = known_thread_marker(target, tid);
  for (auto it = frames.rbegin(); it != frames.rend(); ++it)
    stack = interner_.native_stack(stack, *it);
  return stack;
}

const unwind::NativeStack& NativeSampler::unwind(const Target& target,
                                                 const attach::FaultRecord& record,
                                                 unwind::UnwindTo to) {
  NativeStacks& natives = of(target);
  const unwind::UnwindCounts before = natives.counts();
  const auto& stack = natives.unwind(record, to);
  count(before, natives.counts());
  return stack;
}

StackId NativeSampler::thread_marker(const Target& target, Tid tid) {
  const std::string name = context_.proc.comm(target.pid(), tid).value_or("");
  const StackId marker =
      interner_.marker(name.empty() ? "[native thread]" : "[native thread " + name + "]");
  put(markers_, tid, marker);
  return marker;
}

// Without a look at the thread: of many records, and of a thread that may be over.
StackId NativeSampler::known_thread_marker(const Target& target, Tid tid) {
  const auto known = markers_.find(tid);
  return known == markers_.end() ? thread_marker(target, tid) : known->second;
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
