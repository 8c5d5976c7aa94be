// The estimate behind `--mode live`. How much each size class has grown is known exactly; who made
// it grow is known of a sample of its blocks, each with a weight: those of them that are still
// there share the growth of their class out. What no sample tells of stays with nobody.
//
// Pure; tracer thread.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <random>
#include <vector>

#include "base/clock.h"
#include "cpython/pools/frontier.h"
#include "sampler/live/live_age.h"
#include "sampler/live/live_lifetimes.h"
#include "sampler/live/live_passes.h"
#include "sampler/live/live_temporaries.h"

namespace memspy::sampler {

// A block that was watched, taken and kept.
struct LiveBlock {
  cpython::FreeBlock block;
  std::optional<LiveOwner> owner;  // none: nobody was seen to take it
  double weight = 0;
  SteadyTime taken{};
  SteadyTime seen{};               // there, last
  std::vector<std::byte> content;  // its first bytes, once it was settled
  // Of the process, when they were counted first after the block had settled.
  std::optional<std::uint64_t> collections = {};
  bool followed = false;    // looked at often enough to know how long it lives
  std::uint64_t round = 0;  // in which it was drawn
};

struct LiveShare {
  LiveOwner owner;
  std::uint64_t bytes = 0;
  double variance = 0;  // of the bytes
  std::uint32_t blocks = 0;
  std::chrono::nanoseconds youngest{};  // how long its youngest block has been seen to live
  std::uint64_t collections = 0;        // that each of its blocks has survived, at least
};

// How the watching went.
struct WatchCounts {
  std::uint64_t drawn = 0;
  std::uint64_t missed = 0;                 // the frontier had not come so far
  std::uint64_t late = 0;                   // taken before it was watched, and by nobody after
  std::uint64_t kept = 0, kept_unseen = 0;  // for good; by nobody that was seen
  std::uint64_t temporary = 0;              // given back
  std::uint64_t worn = 0;                   // written to more often than a watch may stop
  std::uint64_t gone = 0;                   // kept, and given back later
  std::uint64_t stops = 0;
};

// Of a process' heap since the run began. attributed + unattributed - shrunk is its net growth.
struct LiveProfile {
  std::vector<LiveShare> shares;
  std::uint64_t unattributed_bytes = 0;
  std::uint64_t shrunk_bytes = 0;  // of the classes that have fewer blocks than at the start
  WatchCounts counts;
  ObjectCounts temporaries;
  std::uint64_t attributed_bytes() const;
};

// What has become of a heap since the start, by size class, in bytes.
struct LiveChange {
  cpython::ClassBytes growth{};
  cpython::ClassBytes start{};  // what there was
};

class LiveBook {
 public:
  static constexpr std::size_t kMaxBlocks = 8192;

  // When there are too many, half of them goes, by lot, and the others count twice.
  void add(LiveBlock block);
  std::size_t size() const { return blocks_.size(); }
  LiveBlock& at(std::size_t i) { return blocks_[i]; }
  // It is gone; the last takes its place.
  void drop(std::size_t i, SteadyTime now);
  // So many collections the process has made by now, of whatever generation; nullopt: not known.
  void count_collections(std::optional<std::uint64_t> collections);

  // Only blocks of this age count; of collections those that have been counted. Set at the begin.
  void set_least_age(const LiveAge& least) { least_ = least; }
  // What the heap has grown by, at the end of a pass over it.
  void note_pass(SteadyTime time, const cpython::ClassBytes& growth) { passes_.note(time, growth); }
  LiveProfile profile(const LiveChange& change, SteadyTime now) const;

 private:
  std::uint64_t survived(const LiveBlock& block) const;

  bool is_old_enough(const LiveBlock& block, SteadyTime now) const;
  LiveAge least_;
  std::vector<LiveBlock> blocks_;
  LiveLifetimes lifetimes_;
  LivePasses passes_;
  std::uint64_t collections_ = 0;
  std::mt19937_64 random_{42};
};

}  // namespace memspy::sampler
