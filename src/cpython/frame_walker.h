// Follows the chain of frames of one thread, from the innermost out. Frames are looked up in what
// was copied in advance; where the chain leaves it, more is copied and the walk goes on.
#pragma once

#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "cpython/layout.h"
#include "cpython/memory_copy.h"
#include "cpython/recorded_stack.h"

namespace memspy::cpython {

// Deeper stacks are cut at the outer end. sys.setrecursionlimit() allows more, people do not read
// more.
inline constexpr std::size_t kMaxFrameDepth = 4096;

struct WalkedFrame {
  RemoteAddr frame;
  RemoteAddr code;
  std::uint64_t instruction = 0;  // as InstructionKind says
  bool generator = false;         // owned by a generator: such a frame is always set up
  bool entry = true;  // C called it; else the frame outside of it did, in the same C function
};

struct FrameChainCopy {
  std::vector<RemoteAddr> visited;  // all frames of the chain, also the interpreter's own
  // The interpreter's own frames (3.12+), each with the number of `frames` inside of it. They lie
  // on the C stack, in the frame of the evaluation loop that put them there.
  std::vector<std::pair<RemoteAddr, std::size_t>> boundaries;
  std::vector<WalkedFrame> frames;  // those that run Python code, innermost first
  bool truncated = false;           // kMaxFrameDepth reached
};

class FrameWalker {
 public:
  explicit FrameWalker(const Layout& layout);

  // Asks `copy` for frames at addresses where they are likely to be: those of the sample before.
  // `innermost`: the rest of its page too, where deeper frames will be.
  void want(MemoryCopy& copy, std::span<const RemoteAddr> frames, RemoteAddr innermost) const;
  // Reuses `out`'s storage. kUnreadable: a frame is not there; kCorrupt: the chain is no chain.
  Result<Unit> walk(MemoryCopy& copy, RemoteAddr innermost, FrameChainCopy& out) const;
  // The same over frames that were copied out in this order. `truncated`: not to the outer end.
  Result<Unit> walk(std::span<const RecordedFrame> frames, bool truncated,
                    FrameChainCopy& out) const;
  // Bytes of a frame, from its start, that a walk looks at.
  std::size_t head_size() const { return head_size_; }
  // Frames lie one behind another in chunks (3.11+).
  bool contiguous() const { return contiguous_; }

 private:
  // `read`: the head of the frame, given the one inside of it (0: there is none); empty: not there.
  template <typename Read>
  Result<Unit> follow(Read&& read, RemoteAddr innermost, FrameChainCopy& out) const;
  std::span<const std::byte> read_frame(MemoryCopy& copy, RemoteAddr frame, RemoteAddr inner,
                                        std::size_t& reach) const;

  Slot previous_, code_, instruction_, owner_, is_entry_;
  std::uint64_t reference_mask_ = ~std::uint64_t{0};  // what of a reference is an address
  std::uint64_t first_hidden_owner_ = 0xff;
  std::size_t head_size_ = 0;
  bool contiguous_ = false;
};

}  // namespace memspy::cpython
