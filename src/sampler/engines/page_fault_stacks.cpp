// The part of the engine that makes of a stack that was read the one that a recording has.
#include "sampler/engines/page_fault.h"

namespace memspy::sampler {

StackId PageFaultEngine::intern(Thread& thread, const Pending& sample) {
  Target& target = *thread.target;
  if (sample.outside) look_for_interpreter(target);
  // A thread of Python's has no state yet when it begins: what it touches then waits for one.
  const bool settled = std::chrono::steady_clock::now() - thread.seen > kYouth;
  thread.faults.set_native(sample.outside ? context_.options.native : !sample.python && settled);
  if (sample.native) return intern_native(thread, sample);
  if (sample.outside) return interner_.marker("[outside Python]");
  if (!sample.python) return interner_.marker("[native thread]");
  if (thread.stack.frames.empty()) return interner_.marker("[outside Python]");
  roster_.name_thread(target, thread.tid, *thread.thread_id);
  return interner_.python_stack(target.index(), *target.reader(), thread.stack);
}

// With -n the records' stacks are merged with the native frames that they hold.
ThreadFaults::InternRecord PageFaultEngine::intern_record_for(Target& target, Tid tid) {
  if (!context_.options.native) return {};
  return [this, &target, tid](const attach::FaultRecord& record, const cpython::RawStack* python,
                              bool callers_known) -> InternedStack {
    if (python != nullptr) return natives_.intern_record(target, record, *python, callers_known);
    return natives_.intern_record(target, tid, record, outermost_of(target));
  };
}

// Of a stack without Python frames; kNoStack: its thread.
StackId PageFaultEngine::outermost_of(const Target& target) {
  return target.has_interpreter() ? kNoStack : interner_.marker("[outside Python]");
}

// Threads without a Python state are named; those of an interpreter that is starting are told
// apart.
StackId PageFaultEngine::intern_native(Thread& thread, const Pending& sample) {
  Target& target = *thread.target;
  const cpython::RawStack* python = sample.python && sample.readable ? &thread.stack : nullptr;
  natives_.merge(target, python);
  if (python == nullptr)
    return natives_.intern(target, thread.tid, python,
                           sample.outside ? interner_.marker("[outside Python]") : kNoStack);
  roster_.name_thread(target, thread.tid, *thread.thread_id);
  natives_.learn_around(target, *python);
  return natives_.intern(target, thread.tid, python);
}

// A Python thread whose stack did not hold together, or was not read in time: its faults stay
// unattributed, and are counted.
bool PageFaultEngine::rejected(const Pending& sample) {
  if (sample.readable || sample.outside || !sample.python) return false;
  auto& counters = context_.counters;
  (sample.partial ? counters.partial : counters.rejected).fetch_add(1, std::memory_order_relaxed);
  counters.rejected_faults.fetch_add(sample.faults, std::memory_order_relaxed);
  return true;
}

}  // namespace memspy::sampler
