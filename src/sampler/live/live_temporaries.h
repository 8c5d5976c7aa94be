// What came and went in watched blocks: objects, by the stack that made them. A count of what was
// seen and no estimate: how many there are in all does not follow from it. (Tried: each object
// weighted with the chance its block had to be watched. Temporaries of a burst are behind what the
// burst keeps, where few blocks are drawn; sums were off by factors of 0.1 to 2.4.)
//
// Pure; tracer thread.
#pragma once

#include <cstdint>
#include <map>
#include <optional>

#include "cpython/pools/block_content.h"
#include "sampler/live/live_owner.h"

namespace memspy::sampler {

// By owner; nullopt: whose stack could not be read.
using ObjectCounts = std::map<std::optional<LiveOwner>, std::uint64_t>;

// The objects of one block within a round. Which writes begin one: a type, or the zeros before it;
// of an object that the collector sees, the first zeros, for there may be two, and not those at its
// end, which come behind a link. A link behind that end is an object again: of a free list of the
// interpreter, which keeps what has ended whole. Up to 3.7 such an object's begin and end write
// nothing there, and only the first one of a round is told.
class BlockObjects {
 public:
  // Somebody had taken it before it was watched.
  void set_occupied() { life_ = Life::kTracked; }
  // True: it is the begin of an object.
  bool begins(cpython::BlockContent::Write write);
  // The last one has ended, as far as was written, or the collector has lost sight of it.
  bool ended() const { return life_ == Life::kUntracked; }
  void note(const std::optional<LiveOwner>& owner);
  // The last one is no temporary: it is still there.
  void forget_last();
  const ObjectCounts& counts() const { return counts_; }

 private:
  enum class Life { kUnknown, kBegun, kCleared, kTracked, kUntracked };
  Life life_ = Life::kUnknown;
  ObjectCounts counts_;
  std::optional<LiveOwner> last_;
};

class LiveTemporaries {
 public:
  static constexpr std::size_t kMaxOwners = 1 << 12;  // what more there are goes to nobody

  void add(const BlockObjects& objects);
  const ObjectCounts& counts() const { return counts_; }

 private:
  ObjectCounts counts_;
};

}  // namespace memspy::sampler
