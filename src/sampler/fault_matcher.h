// Tells which Python stack a recorded fault belongs to although its thread was not stopped.
//
// The interpreter's evaluation loop keeps a pointer into the bytecode that it executes. While it
// calls into C that pointer lies in a register that calls preserve, or was saved on the C stack: a
// fault record holds both. Where exactly depends on the C functions in between alone, so on the
// place of the fault: its instruction, and how deep the stack is. A stack that was read at a place,
// and whose instruction the record holds, teaches where to look; from then on every record of that
// place names the innermost Python function and its line, exactly. The callers are those among the
// ones this function was seen with in this thread that the record agrees with (CallerChains).
//
// Used by one thread. Pure.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <utility>
#include <vector>

#include "attach/perf_fault_event.h"
#include "cpython/stack_reader.h"
#include "memspy/frame.h"
#include "sampler/caller_chains.h"
#include "sampler/fault_places.h"

namespace memspy::sampler {

// The stack of a record. Not `whole`: more of it may be known at the next record of its kind.
struct InternedStack {
  InternedStack(StackId id, bool all = true) : stack(id), whole(all) {}
  StackId stack;
  bool whole;
};

class FaultMatcher {
 public:
  // `callers_known`: false where the frames outside of the innermost one are only those that all
  // stacks of such threads share.
  using Intern = std::function<InternedStack(const attach::FaultRecord&, const cpython::RawStack&,
                                             bool callers_known)>;

  // Which records are of one stack, and interned once.
  enum class Distinct {
    kLines,  // those of one line with the same callers
    kPlaces  // of one place too: native frames are told
  };

  // `places` must outlive the matcher.
  explicit FaultMatcher(FaultPlaces& places, Distinct distinct = Distinct::kLines)
      : places_(places), distinct_(distinct) {}

  // `stack_base`: an address that is the same distance from the stack's end in each thread: the
  // thread pointer. `id`: of the stack. False: there was no evidence, and nothing was learnt.
  bool learn(const attach::FaultRecord& record, std::uint64_t stack_base,
             const cpython::RawStack& stack, StackId id, FaultEvidence evidence);
  // nullopt: a place, or a function, that no thread was seen in, or words that are equally likely
  // and say different things: one of them is left over from an earlier call. A place whose records
  // do not hold the instruction has the stack that was read there last.
  std::optional<StackId> match(const attach::FaultRecord& record, std::uint64_t stack_base,
                               const Intern& intern);
  // The same with less evidence, for a record that will wait no longer: what stands where
  // evaluation loops keep their instruction, a place that was seen once, or one near by.
  std::optional<StackId> guess(const attach::FaultRecord& record, std::uint64_t stack_base,
                               const Intern& intern);
  // An instruction that a record holds where its place, or else an anchor, has it: of code that no
  // thread was seen in, or no instruction at all.
  std::optional<RemoteAddr> stranger(const attach::FaultRecord& record,
                                     std::uint64_t stack_base) const;
  // The function of a stranger, a stack of one frame. Of its callers only those are known that all
  // stacks of such threads have had.
  void introduce(cpython::RawStack function);
  std::uint64_t generation() const { return places_.generation() + generation_; }

 private:
  struct Code {
    std::uint64_t end = 0;
    std::uint32_t function = 0;  // RawFrame::code
    CallerChains chains;         // never empty
  };

  struct Found {
    Code* code = nullptr;
    std::int32_t offset = 0;  // of the instruction in it
  };

  Code& remember(const cpython::RawStack& stack, bool callers_known);
  static bool same_instruction(const Found& a, const Found& b);
  static bool calls(const Found& outer, const Found& inner);
  Found find_instruction(std::span<const FaultPlaces::Slot> slots, std::size_t rivals,
                         const attach::FaultRecord& record);
  std::optional<RemoteAddr> stranger_at(const attach::FaultRecord& record,
                                        const FaultPlaces::Slot& slot) const;
  Found find_innermost(const FaultPlaces::Slot& slot, const attach::FaultRecord& record);
  std::optional<StackId> stack_at(const Found& found, RecordInThread record, bool collecting,
                                  const Intern& intern) const;
  Code* find_code(std::uint64_t instruction, std::uint64_t& begin);
  bool may_be_ours(const cpython::RawStack& stack) const;
  cpython::RawStack below_outer(cpython::RawStack function) const;

  FaultPlaces& places_;
  Distinct distinct_;
  std::map<std::uint64_t, Code> codes_;       // by the address of the bytecode
  std::map<FaultPlaces::Key, StackId> last_;  // by place, where it is blank
  std::optional<cpython::RawFrame> root_;     // of this thread's stacks
  std::uint64_t generation_ = 0;
};

}  // namespace memspy::sampler
