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
  processes_.erase(target.index().value);
  const auto of_it = [&](const auto& entry) { return entry.first.process == target.index(); };
  std::erase_if(around_python_, of_it);
  std::erase_if(around_native_, of_it);
}

// Its id and its stack may be another's soon.
void NativeSampler::forget_thread(const Target& target, Tid tid) {
  markers_.erase(tid);
  const auto begin = around_native_.lower_bound({target.index(), tid, 0, 0});
  const auto end = around_native_.upper_bound({target.index(), tid, UINT64_MAX, UINT64_MAX});
  around_native_.erase(begin, end);
}

void NativeSampler::merge(const Target& target, const cpython::RawStack* python) {
  NativeStacks& natives = of(target);
  const unwind::UnwindCounts before = natives.counts();
  merged_ = natives.merge(or_none(python));
  count(before, natives.counts());
}

StackId NativeSampler::intern(Target& target, Tid tid, const cpython::RawStack* python,
                              StackId outermost) {
  if (python == nullptr) return intern_native(target, tid, outermost);
  return interner_.merged_stack(target.index(), target.reader(), *python, of(target).stack(),
                                merged_, outermost);
}

StackId NativeSampler::intern_native(const Target& target, Tid tid, StackId outermost) {
  StackId stack = outermost == kNoStack ? thread_marker(target, tid) : outermost;
  const auto& frames = of(target).stack().frames;
  for (auto it = frames.rbegin(); it != frames.rend(); ++it) {
    stack = interner_.within(stack, *it);
    put(around_native_, {target.index(), tid, it->stack, it->code}, stack);
  }
  return stack;
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
  put(around_python_, {target.index(), python.frames.front().code, callers}, around);
}

InternedStack NativeSampler::intern_record(Target& target, const attach::FaultRecord& record,
                                           const cpython::RawStack& python, bool callers_known) {
  const cpython::StackReader& reader = *target.reader();
  NativeStacks& natives = of(target);
  const unwind::UnwindCounts before = natives.counts();
  std::span called = natives.unwind(record, unwind::UnwindTo::kLoop).frames;
  const bool to_loop = !called.empty() && unwind::is_loop(called.back());
  if (to_loop) called = called.first(called.size() - 1);
  count_record(before, natives.counts(), to_loop);
  StackId callers = interner_.callers(target.index(), reader, python, callers_known);
  const auto around = around_python_.find({target.index(), python.frames.front().code, callers});
  const bool known = around != around_python_.end();
  if (known) callers = around->second;
  return {interner_.with_innermost(callers, target.index(), reader, python, called), known};
}

StackId NativeSampler::intern_record(const Target& target, Tid tid,
                                     const attach::FaultRecord& record, StackId outermost) {
  NativeStacks& natives = of(target);
  const unwind::UnwindCounts before = natives.counts();
  const auto& native = natives.unwind(record, unwind::UnwindTo::kOutermost);
  std::span frames = native.frames;
  StackId stack = outermost;
  bool whole = native.complete();
  if (!frames.empty() && !whole) {
    const auto& last = frames.back();
    const auto around = around_native_.find({target.index(), tid, last.stack, last.code});
    whole = around != around_native_.end();
    if (whole) {
      stack = around->second;
      frames = frames.first(frames.size() - 1);
    }
  }
  count_record(before, natives.counts(), whole);
  if (stack == kNoStack) stack = known_thread_marker(target, tid);
  for (auto it = frames.rbegin(); it != frames.rend(); ++it) stack = interner_.within(stack, *it);
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

// A record ends somewhere; that is no loss where what lies outside is known from elsewhere.
void NativeSampler::count_record(const unwind::UnwindCounts& before, unwind::UnwindCounts now,
                                 bool whole) {
  if (whole) now.cut = before.cut;
  count(before, now);
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
