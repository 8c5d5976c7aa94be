// Tells which Python stack a recorded fault belongs to although its thread was not stopped.
//
// The interpreter's evaluation loop keeps a pointer into the bytecode that it executes. While it
// calls into C that pointer lies in a register that calls preserve, or was saved on the C stack: a
// fault record holds both. Where exactly depends on the C functions in between alone, so on the
// place of the fault: its instruction and stack pointer. A stack that was read at a place, and whose
// instruction the record holds, teaches where to look; from then on every record of that place names
// the innermost Python function and its line, exactly. The callers are those that this function had
// when a stack of it was last read.
//
// For one thread of the target; used by one thread. Pure.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <unordered_map>
#include <vector>

#include "attach/perf_fault_event.h"
#include "cpython/stack_reader.h"
#include "memspy/frame.h"

namespace memspy::sampler {

class FaultMatcher {
 public:
  enum class Evidence {
    kStopped,   // the stack was read at the very fault
    kMaybe,     // the thread ran on meanwhile: believed if the record holds the stack's instruction
  };
  using Intern = std::function<StackId(const cpython::RawStack&)>;

  // `id`: of the stack. False: there was no evidence that the record is of this stack, and nothing was
  // learnt.
  bool learn(const attach::FaultRecord& record, const cpython::RawStack& stack, StackId id, Evidence evidence);
  // nullopt: a place, or a function, that was never seen. A place whose records do not hold the
  // instruction, deep inside native code, has the stack that was read there last.
  std::optional<StackId> match(const attach::FaultRecord& record, const Intern& intern);

  // Grows whenever something new was learnt: what did not match may match now.
  std::uint64_t generation() const { return generation_; }

 private:
  struct Slot {
    std::uint16_t word;   // where in the record
    std::int16_t ahead;   // by how much the pointer is ahead of the instruction, bytes
  };
  struct Place {
    std::vector<Slot> slots;  // candidates, the likely ones first
    bool collecting = false;  // inside the garbage collector
    StackId last;
  };
  struct Code {
    std::uint64_t end = 0;
    cpython::RawStack stack;                           // as last read
    std::unordered_map<std::int32_t, StackId> stacks;  // by the innermost instruction
  };

  void remember(const cpython::RawStack& stack);
  Code* find_code(std::uint64_t instruction, std::uint64_t& begin);

  std::unordered_map<std::uint64_t, Place> places_;
  std::map<std::uint64_t, Code> codes_;  // by the address of the bytecode
  std::uint64_t generation_ = 0;
};

}  // namespace memspy::sampler
