// The callers that one function was seen with, and how a fault record tells which of them it has.
//
// A record names its innermost function and line (FaultMatcher), but a helper is called from many
// places. What differs between its callers leaves marks on the C stack that the record holds:
// - from 3.11 on, the address of the function's own frame. Frames lie one behind another, so it
//   depends on the sizes of all frames outside of it;
// - before, where each Python call has an evaluation loop of its own, the callers' instructions, at
//   depths that depend on the loops in between, and the depth itself; and in any version those of
//   callers that went through C.
// Stops teach which words are marks, and how often each was there with which callers; a record goes
// to the callers that make them likeliest (naive Bayes). Callers that leave the same marks
// (two lines of one function, frames of one size) cannot be told apart, and neither can those
// outside of a coroutine: then those seen last are taken.
//
// Used by one thread. Pure.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <unordered_map>
#include <utility>
#include <vector>

#include "attach/fault_record.h"
#include "cpython/stack_reader.h"
#include "memspy/frame.h"

namespace memspy::sampler {

// A record, and the thread pointer of its thread.
struct RecordInThread {
  const attach::FaultRecord* record = nullptr;
  std::uint64_t stack_base = 0;
};

class CallerChains {
 public:
  // A helper with more callers than that, or fewer of deep stacks, has the others under those seen
  // last.
  static constexpr std::size_t kMaxChains = 16;

  // Of what a stack is made that has these callers: the innermost instruction, whether the
  // collector runs and, where native frames are told, the place of the fault.
  struct Innermost {
    std::int32_t instruction = 0;
    bool collecting = false;
    std::uint64_t depth = 0, code = 0;
    bool operator==(const Innermost&) const = default;
  };
  struct InnermostHash {
    std::size_t operator()(const Innermost& at) const {
      const auto line = static_cast<std::uint64_t>(at.instruction) * 2 + (at.collecting ? 1 : 0);
      return static_cast<std::size_t>((line * 1000003U + at.depth) * 1000003U + at.code);
    }
  };

  struct Chain {
    cpython::RawStack stack;  // as last read
    std::unordered_map<Innermost, StackId, InnermostHash> stacks;
    std::uint8_t number = 0;  // its place in Mark::seen
    std::uint64_t last_seen = 0;
    bool known = true;  // false: the frames outside of the innermost one are a guess
  };

  // A stack that was read at the record's very fault.
  void enter(const cpython::RawStack& stack, RecordInThread record);
  // One that was read beside the thread: the record may have been taken with other callers.
  Chain& enter(const cpython::RawStack& stack);
  // Callers until a stack is read in this thread: those that another thread had (`known`), or no
  // more than the outermost ones.
  void suppose(const cpython::RawStack& stack, bool known);
  // What was seen last. Not when nothing has been entered yet.
  const Chain& last() const;
  // The one that the record agrees with. Not when nothing has been entered yet.
  Chain& choose(RecordInThread record);

 private:
  // How often a mark was there, and was not, when stops showed one chain.
  struct Seen {
    std::uint8_t there = 0, missing = 0;
    std::int8_t if_there = 0, if_missing = 0;  // logarithms of the likelihood, in eighths of a bit
  };
  struct Mark {
    std::uint64_t where = 0;  // how deep in the stack; which register, or just the depth, at which
                              // instruction
    std::uint64_t value = 0;
    std::uint8_t teacher = 0;  // the number of the chain that it was seen with first
    std::array<Seen, kMaxChains> seen{};
  };

  Chain& chain_for(const cpython::RawStack& stack);
  using Likelihoods = std::array<int, kMaxChains>;  // logarithms, in eighths of a bit

  Chain& add_chain(std::size_t depth);
  int usefulness(const Mark& mark) const;
  bool make_room(std::uint8_t teacher);
  void add_mark(std::uint64_t where, std::uint64_t value, std::uint8_t teacher);
  void learn_marks(const Chain& chain, RecordInThread record);
  static void count(Seen& seen, bool there);
  void weigh(const Mark& mark, bool there, Likelihoods& likelihoods) const;
  bool decided(Likelihoods likelihoods) const;
  std::ptrdiff_t count() const { return static_cast<std::ptrdiff_t>(chains_.size()); }

  std::vector<Chain> chains_;
  std::vector<Mark> marks_;  // the most useful first; none as long as there is one chain
  std::vector<std::pair<std::uint64_t, std::uint64_t>> dismissed_;  // marks that told nothing
  std::uint64_t moment_ = 0;
  bool supposed_ = false;
};

}  // namespace memspy::sampler
