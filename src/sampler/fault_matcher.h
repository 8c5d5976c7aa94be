// Tells which Python stack a recorded fault belongs to although its thread was not stopped.
//
// The interpreter's evaluation loop keeps a pointer into the bytecode that it executes. While it
// calls into C that pointer lies in a register that calls preserve, or was saved on the C stack: a
// fault record holds both. Where exactly depends on the C functions in between alone, so on the
// place of the fault: its instruction, and how deep the stack is. A stack that was read at a place,
// and whose instruction the record holds, teaches where to look; from then on every record of that
// place names the innermost Python function and its line, exactly. The callers are those that this
// function had when a stack of it was last read in this thread.
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
#include <unordered_map>
#include <utility>
#include <vector>

#include "attach/perf_fault_event.h"
#include "cpython/stack_reader.h"
#include "memspy/frame.h"

namespace memspy::sampler {

// How a stack came to be put together with a fault record.
enum class FaultEvidence {
  kStopped,  // it was read at the very fault
  kMaybe,    // the thread ran on meanwhile: believed if the record holds the stack's instruction
  kWaited,   // as kMaybe, of a record that has waited. The thread may be blocked where it was
             // blocked before the fault, and that call has left its instruction on the stack: the
             // same one again is no more evidence
};

// Where records hold the instruction, by place; one for each process, as its threads run the same
// code.
class FaultPlaces {
 public:
  struct Slot {
    std::uint16_t word;   // where in the record
    std::int16_t ahead;   // by how much the pointer is ahead of the instruction, bytes
    std::uint16_t score;  // evidence for it
  };
  struct Place {
    std::vector<Slot> slots;  // the likeliest first
    bool collecting = false;  // inside the garbage collector
    bool blank = false;       // its records do not hold the instruction: deep inside native code
    std::uint64_t waited_for = 0;  // the last instruction that was kWaited evidence
    std::span<const Slot> usable() const;
    // Of the usable ones, those that no evidence has told apart from the likeliest.
    std::size_t rivals() const;
  };

  // Where a fault was taken: how deep the stack was, and the instruction.
  using Key = std::pair<std::uint64_t, std::uint64_t>;

  // False: no evidence.
  bool learn(Key key, const attach::FaultRecord& record, const cpython::RawStack& stack,
             FaultEvidence evidence);
  const Place* find(Key key) const;
  // The nearest one that is usable, as deep and some instructions away: of the same C function, as
  // a loop is that touches memory in several places.
  const Place* find_nearby(Key key) const;

  // How deep in the stack evaluation loops have kept their instruction, whatever the place: the
  // commonest first. A loop calls all C functions from the same depth.
  struct Anchor {
    std::uint64_t depth = 0;
    std::int16_t ahead = 0;
    std::uint32_t seen = 0;
  };
  std::span<const Anchor> anchors() const { return anchors_; }

  // Functions that any thread was seen in, with the callers they had: for threads that are over
  // before a stack of theirs is read, as those of a server that starts one for each request.
  struct Code {
    std::uint64_t begin = 0, end = 0;  // of its bytecode
    cpython::RawStack stack;
  };
  void remember(const Code& code);
  const Code* find_code(std::uint64_t instruction) const;
  // Has a stack shown this frame while a Python function that it had called ran?
  bool is_call(const cpython::RawFrame& frame) const;
  // So many words must a record have to hold the instruction at each place where a thread was
  // stopped; rather more as long as few of them are known.
  std::size_t reach() const;
  // Grows whenever something new was learnt: what did not match may match now.
  std::uint64_t generation() const { return generation_; }

 private:
  void note_anchor(Key key, const Place& place);

  std::map<Key, Place> places_;
  std::vector<Anchor> anchors_;
  std::map<std::uint64_t, Code> codes_;  // by where they begin
  std::set<std::pair<std::uint32_t, std::int32_t>> calls_;
  std::uint64_t generation_ = 0;
  std::size_t reach_ = 0;
  std::size_t stops_ = 0;  // that taught something
};

class FaultMatcher {
 public:
  using Intern = std::function<StackId(const cpython::RawStack&)>;

  // `places` must outlive the matcher.
  explicit FaultMatcher(FaultPlaces& places) : places_(places) {}

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
  // The function of a stranger, a stack of one frame. Its callers are those of what this thread was
  // seen in last: that is what is known of them.
  void introduce(cpython::RawStack function);
  std::uint64_t generation() const { return places_.generation() + generation_; }

 private:
  struct Code {
    std::uint64_t end = 0;
    cpython::RawStack stack;                           // as last read
    std::unordered_map<std::int64_t, StackId> stacks;  // by the innermost instruction
  };

  struct Found {
    Code* code = nullptr;
    std::int32_t offset = 0;  // of the instruction in it
  };

  void remember(const cpython::RawStack& stack);
  static bool same_instruction(const Found& a, const Found& b);
  Found find_instruction(std::span<const FaultPlaces::Slot> slots, std::size_t rivals,
                         const attach::FaultRecord& record);
  std::optional<RemoteAddr> stranger_at(const attach::FaultRecord& record,
                                        const FaultPlaces::Slot& slot) const;
  Found find_anchored(const attach::FaultRecord& record, std::uint64_t stack_base);
  std::optional<StackId> stack_at(const Found& found, bool collecting, const Intern& intern);
  Code* find_code(std::uint64_t instruction, std::uint64_t& begin);

  FaultPlaces& places_;
  std::map<std::uint64_t, Code> codes_;       // by the address of the bytecode
  std::map<FaultPlaces::Key, StackId> last_;  // by place, where it is blank
  cpython::RawStack last_seen_;
  std::uint64_t generation_ = 0;
};

}  // namespace memspy::sampler
