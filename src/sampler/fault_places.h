// Where fault records hold the instruction that their thread executed, and what is known of the
// code of a process: what FaultMatcher goes by, for all threads of the process.
//
// Used by one thread. Pure.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <utility>
#include <vector>

#include "attach/fault_record.h"
#include "cpython/stack_reader.h"

namespace memspy::sampler {

// The interpreter's pointer to the next instruction is at it, or so many bytes behind it: its
// inline caches.
inline constexpr std::uint64_t kMaxAhead = 24;

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
  // Where an anchor lies in a record, if its stack goes so far: as good as one guess.
  static std::optional<Slot> slot_of(const attach::FaultRecord& record, std::uint64_t stack_base,
                                     const Anchor& anchor);

  // Functions that any thread was seen in, with the callers they had: for threads that are over
  // before a stack of theirs is read, as those of a server that starts one for each request.
  struct Code {
    std::uint64_t begin = 0, end = 0;  // of its bytecode
    cpython::RawStack stack;
    bool callers_known = true;
  };
  void remember(const Code& code);
  const Code* find_code(std::uint64_t instruction) const;
  // A stack that was read, of whichever thread.
  void note_outer(const cpython::RawStack& stack);
  // The frames that all stacks share which begin in the same function as `root` does; outermost
  // first. Few stacks have too much in common to say so: of these, the first function alone.
  std::span<const cpython::RawFrame> outer(const cpython::RawFrame& root) const;
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
  struct Outer {
    std::vector<cpython::RawFrame> frames;  // outermost first; lines as in the last stack
    std::set<std::uint32_t> functions;      // that were innermost
  };
  std::map<std::uint32_t, Outer> outer_;  // by the function that threads begin in
  std::uint64_t generation_ = 0;
  std::size_t reach_ = 0;
  std::size_t stops_ = 0;  // that taught something
};

}  // namespace memspy::sampler
