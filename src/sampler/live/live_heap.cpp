#include "sampler/live/live_heap.h"

#include <algorithm>
#include <memory>

#include "attach/resident_memory.h"
#include "base/duration.h"
#include "base/thread_cpu.h"
#include "symbolize/module_index.h"

namespace memspy::sampler {
namespace {

using namespace std::chrono_literals;
using cpython::kSizeClasses;

constexpr std::size_t kSlice = 512;  // headers between two looks at the stops: 0.4 ms
// The first passes come quickly: without two of them nobody knows what grows.
constexpr std::chrono::nanoseconds kFirstPause = 100ms, kShortestPause = 500ms, kLongestPause = 30s;
constexpr int kFirstPasses = 4;
constexpr std::chrono::nanoseconds kGlancePause = 200ms;
// To go over a list of pools is most of what it costs to draw a block. Blocks that are given back
// into pools inside it meanwhile make a block come a little later than it was drawn for.
constexpr std::chrono::nanoseconds kListsAge = 1s;
constexpr double kNewest = 0.4;  // weight of the last interval in the moving average
// A burst is what a class has grown by beyond twice its pace. It is reckoned with for some ten
// passes.
constexpr double kSteady = 2, kLeastBurst = 64, kBurstForget = 0.93;
constexpr double kPausing = 0.25;  // of its mean growth, that a class is never thought below

}  // namespace

LiveHeap::LiveHeap(const procfs::ProcDir& proc, const Target& target, cpython::ArenaList list)
    : proc_(proc),
      target_(target),
      list_(std::move(list)),
      sweep_(target.interpreter()->layout()),
      frontier_(target.interpreter()->layout(), target.memory()),
      looks_(target.interpreter()->layout(), target.memory()) {}

Result<std::unique_ptr<LiveHeap>> LiveHeap::open(const procfs::ProcDir& proc,
                                                 const Target& target) {
  MEMSPY_TRY(map, proc.maps(target.pid()));
  MEMSPY_TRY(resident, attach::ResidentMemory::open(proc, target.pid(), target.memory()));
  const symbolize::ModuleIndex modules(proc, target.pid(), map, target.memory());
  MEMSPY_TRY(list, cpython::ArenaList::find(*target.interpreter(), target.memory(), resident, map,
                                            modules));
  return std::unique_ptr<LiveHeap>(new LiveHeap(proc, target, std::move(list)));
}

void LiveHeap::begin_pass() {
  const auto map = proc_.maps(target_.pid());
  auto arenas =
      map.has_value() ? list_.read(target_.memory(), *map) : std::vector<cpython::Arena>();
  arenas_ = arenas;
  frontier_.set_arenas(arenas_);
  sweep_.begin(std::move(arenas));
  price_ = {};
}

void LiveHeap::slice(std::size_t headers) {
  const auto begin = thread_cpu();
  if (!sweep_.under_way()) begin_pass();
  const bool done = sweep_.step(target_.memory(), headers);
  price_ += thread_cpu() - begin;
  if (done) end_pass(std::chrono::steady_clock::now());
}

void LiveHeap::end_pass(SteadyTime now) {
  const cpython::PoolCounts& counts = sweep_.counts();
  // All at once: it is the process that has gone, or its memory cannot be read.
  if (counts.pools == 0) return;
  frontier_.set_used_pools(sweep_.used_pools());
  if (!start_) start_ = counts, start_time_ = now;
  const double seconds = to_seconds(now - last_time_);
  LivePulse::Blocks grown{};
  for (std::uint32_t c = 0; c < kSizeClasses; ++c) {
    if (counts.block_bytes[c] != 0) frontier_.set_block_bytes(c, counts.block_bytes[c]);
    if (passes_ == 0) continue;
    grown[c] = static_cast<std::int64_t>(counts.used[c]) - static_cast<std::int64_t>(last_.used[c]);
    const double rate = static_cast<double>(grown[c]) / seconds;
    double& mean = blocks_per_second_[c];
    note_burst(c, static_cast<double>(grown[c]) - kSteady * std::max(mean, 0.0) * seconds);
    mean = passes_ == 1 ? rate : (1 - kNewest) * mean + kNewest * rate;
  }
  if (passes_ > 0) pulse_.note_pass(grown);
  last_ = counts;
  last_time_ = now;
  ++passes_;
}

// May have come at any moment between two passes, all at once.
void LiveHeap::note_burst(std::uint32_t c, double blocks) {
  burst_[c] *= kBurstForget;
  if (passes_ > 1 && blocks > kLeastBurst) burst_[c] = std::max(burst_[c], blocks);
}

bool LiveHeap::advance(SteadyTime now, double share) {
  if (!sweep_.under_way() && now < next_pass_) return false;
  const int before = passes_;
  slice(kSlice);
  if (sweep_.under_way()) return false;
  const auto earned = earned_by(price_, share);
  const auto least = passes_ < kFirstPasses ? kFirstPause : kShortestPause;
  next_pass_ = now + std::clamp<std::chrono::nanoseconds>(earned, least, kLongestPause);
  return passes_ != before;
}

bool LiveHeap::glance(SteadyTime now) {
  if (passes_ == 0 || now - last_glance_ < kGlancePause) return false;
  if (now - lists_since_ >= kListsAge) frontier_.forget_lists(), lists_since_ = now;
  pulse_.note(looks_.look(sweep_.used_pools()), to_seconds(now - last_glance_));
  last_glance_ = now;
  return true;
}

std::optional<std::uint64_t> LiveHeap::collections() const {
  const auto states = target_.interpreter()->gc_states(target_.memory());
  if (!states.has_value()) return std::nullopt;
  std::uint64_t sum = 0;
  for (const cpython::GcState& state : *states)
    for (const auto& generation : state.generations) sum += generation.collections;
  return sum;
}

// 0: it has no growth to share out.
double LiveHeap::blocks_per_second(std::uint32_t c) const {
  const auto bytes = static_cast<std::int64_t>(last_.block_bytes[c]);
  if (bytes == 0 || !start_) return 0;
  const std::int64_t grown =
      static_cast<std::int64_t>(last_.used[c]) - static_cast<std::int64_t>(start_->used[c]);
  // A class that has fewer blocks than at the start has none, whatever it does at the moment.
  const double sign = grown + pulse_.taken(c) > 0 ? pulse_.rate(c) : 0;
  if (grown <= 0) return sign;
  // One that pauses may go on at any time.
  const double mean =
      static_cast<double>(grown) / std::max(to_seconds(last_time_ - start_time_), 1e-3);
  return std::max({blocks_per_second_[c], kPausing * mean, sign});
}

void LiveHeap::tell(LiveOdds& odds, std::chrono::nanoseconds round) const {
  for (std::uint32_t c = 0; c < kSizeClasses; ++c) {
    const double blocks = blocks_per_second(c) * to_seconds(round);
    odds.set_growth(c, blocks, blocks * last_.block_bytes[c]);
    odds.expect_burst(c, burst_[c]);
  }
}

cpython::PymallocState LiveHeap::state() const {
  cpython::PymallocState state;
  state.arenas = arenas_.size();
  for (const cpython::Arena& arena : arenas_) state.arena_bytes += arena.bytes;
  state.used_bytes = last_.used_bytes();
  for (const std::uint64_t used : last_.used) state.used_blocks += used;
  state.free_bytes = state.arena_bytes - std::min(state.arena_bytes, state.used_bytes);
  return state;
}

cpython::ClassBytes LiveHeap::start() const {
  cpython::ClassBytes bytes{};
  for (std::size_t c = 0; start_ && c < kSizeClasses; ++c)
    bytes[c] = static_cast<std::int64_t>(start_->used[c] * start_->block_bytes[c]);
  return bytes;
}

cpython::ClassBytes LiveHeap::growth() const {
  cpython::ClassBytes growth{};
  if (!start_) return growth;
  for (std::size_t c = 0; c < kSizeClasses; ++c) {
    const std::uint64_t bytes = std::max(last_.block_bytes[c], start_->block_bytes[c]);
    growth[c] =
        (static_cast<std::int64_t>(last_.used[c]) - static_cast<std::int64_t>(start_->used[c])) *
        static_cast<std::int64_t>(bytes);
  }
  return growth;
}

}  // namespace memspy::sampler
