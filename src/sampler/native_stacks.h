// The native stacks of one process: what is taken of a thread, and the frames made of it. Tracer
// thread.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "attach/fault_record.h"
#include "attach/seizure.h"
#include "cpython/stack_reader.h"
#include "procfs/proc_dir.h"
#include "sampler/merged_stack.h"
#include "unwind/unwinder.h"

namespace memspy::sampler {

class NativeStacks {
 public:
  // `first_bytes`: so much of a stack is copied until one has shown that this is too little.
  NativeStacks(const procfs::ProcDir& proc, Pid pid, const MemoryReader& memory,
               unwind::ModuleStore& store, std::size_t first_bytes = unwind::kFirstStackCopy)
      : proc_(proc),
        pid_(pid),
        memory_(memory),
        code_(proc, pid, memory, store),
        unwinder_(code_),
        wanted_(first_bytes) {}

  // In the stop: registers and one read of the stack. False: the thread is gone.
  bool take(const attach::Seizure& seizure, Tid tid) { return take_top(seizure, tid, wanted_); }
  // The same of at most so many bytes; in the same stop, when these show that it is worth it, the
  // rest.
  bool take_top(const attach::Seizure& seizure, Tid tid, std::size_t bytes);
  void take_rest() { read_stack(copy_.begin, wanted_); }
  // Of a thread that is blocked: it stands where /proc says. Of its registers only some are known.
  bool take_blocked(Tid tid);
  // What was taken last, as the record of a fault there.
  attach::FaultRecord as_record() const;

  // After the stop: the stack of what was taken last, merged with the Python frames read in the
  // same stop. Innermost first.
  std::vector<MergedFrame> merge(const cpython::RawStack& python);
  // The same without Python's frames: stack().
  void unwind();
  const unwind::NativeStack& stack() const { return stack_; }
  // The stack that a fault record holds, or the top of it; good until the next call. What was taken
  // last stays.
  const unwind::NativeStack& unwind(const attach::FaultRecord& record, unwind::UnwindTo to);
  // Of what was taken last: where the thread stands, and the words from its stack pointer up.
  std::uint64_t instruction() const;
  std::span<const std::byte> copied() const { return copy_.bytes; }
  // A native frame as a recording keeps it: without a name.
  static Frame frame_of(const unwind::NativeFrame& frame);
  const unwind::UnwindCounts& counts() const { return unwinder_.counts(); }

 private:
  void read_stack(std::uint64_t stack, std::uint64_t bytes);

  const procfs::ProcDir& proc_;
  Pid pid_;
  const MemoryReader& memory_;
  unwind::CodeMap code_;
  unwind::Unwinder unwinder_;
  unwind::StackCopy copy_, record_copy_;
  unwind::NativeStack stack_, record_stack_;
  std::size_t wanted_;
  std::uint64_t thread_pointer_ = 0;  // of the thread that was taken last; 0: not known
};

// Why a native stack is not whole, for a person; "" when it is.
std::string note_of(const unwind::NativeStack& stack);

}  // namespace memspy::sampler
