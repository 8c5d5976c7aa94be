#include "sampler/live/live_totals.h"

#include <algorithm>
#include <cmath>

namespace memspy::sampler {
namespace {

void add_counter(RunSummary& summary, const char* name, double value) {
  const auto it = std::find_if(summary.counters.begin(), summary.counters.end(),
                               [&](const auto& counter) { return counter.first == name; });
  if (it == summary.counters.end()) {
    summary.counters.emplace_back(name, value);
  } else {
    it->second += value;
  }
}

}  // namespace

void LiveTotals::take(const LiveProfiled& event, PageLedger& ledger) {
  profile_ = event.profile;
  pages_ = event.pages;
  for (const auto& arena : event.arenas) {
    if (!std::binary_search(arenas_.begin(), arenas_.end(), arena))
      ledger.reassign(arena.first, arena.second, pages_);
  }
  arenas_ = event.arenas;
}

FaultSample LiveTotals::placed(FaultSample sample) const {
  const auto behind =
      std::upper_bound(arenas_.begin(), arenas_.end(), sample.address,
                       [](RemoteAddr address, const auto& arena) { return address < arena.first; });
  if (behind == arenas_.begin() || !sample.address) return sample;
  const auto& arena = *std::prev(behind);
  if (sample.address.value - arena.first.value < arena.second) sample.stack = pages_;
  return sample;
}

bool LiveTotals::skips(const LedgerDelta& delta) {
  if (delta.owner.stack != pages_) return false;
  arena_bytes_ += (static_cast<std::int64_t>(delta.touched_pages) -
                   static_cast<std::int64_t>(delta.returned_pages)) *
                  static_cast<std::int64_t>(kPageBytes);
  return true;
}

Result<Unit> LiveTotals::tell(std::chrono::nanoseconds time, ProcessIndex process, bool last,
                              SampleSink& sink) {
  std::map<LiveOwner, Told> now;
  for (const LiveShare& share : profile_->shares) now[share.owner] = {share.bytes, share.blocks};
  for (const auto& [owner, before] : told_) now.try_emplace(owner);
  for (const auto& [owner, told] : now) {
    Told& before = told_[owner];
    const std::uint64_t more = told.bytes - std::min(told.bytes, before.bytes);
    const std::uint64_t less = before.bytes - std::min(told.bytes, before.bytes);
    const std::uint32_t blocks = told.blocks - std::min(told.blocks, before.blocks);
    before.bytes = told.bytes;
    before.blocks = std::max(told.blocks, before.blocks);
    if (more != 0 || less != 0 || blocks != 0)
      MEMSPY_CHECK(sink.on_growth({time, process, owner.thread, owner.stack, more, less, blocks}));
  }
  const auto rest = static_cast<std::int64_t>(profile_->unattributed_bytes);
  if (rest != told_rest_) MEMSPY_CHECK(sink.on_unattributed({time, process, rest - told_rest_}));
  told_rest_ = rest;
  if (!last) return Unit{};
  for (const LiveShare& share : profile_->shares) {
    MEMSPY_CHECK(sink.on_live({time, process, share.owner.thread, share.owner.stack, share.bytes,
                               static_cast<std::uint64_t>(std::sqrt(share.variance)), share.blocks,
                               share.youngest, share.collections}));
  }
  for (const auto& [of, objects] : profile_->temporaries) {
    const LiveOwner owner = of.value_or(LiveOwner{});
    MEMSPY_CHECK(sink.on_temporary({time, process, owner.thread, owner.stack, objects}));
  }
  return Unit{};
}

void LiveTotals::correct(RunSummary& summary) const {
  const auto pages = static_cast<std::uint64_t>(std::max<std::int64_t>(arena_bytes_, 0));
  summary.attributed_bytes -= std::min(summary.attributed_bytes, pages);
  summary.attributed_bytes += profile_->attributed_bytes();
  summary.unattributed_bytes += profile_->unattributed_bytes;
  summary.shrink_bytes += profile_->shrunk_bytes;
}

void LiveTotals::count(RunSummary& summary) const {
  const std::uint64_t blocks = profile_->attributed_bytes() + profile_->unattributed_bytes;
  add_counter(summary, "pymalloc_growth_bytes", static_cast<double>(blocks));
  add_counter(summary, "pymalloc_shrink_bytes", static_cast<double>(profile_->shrunk_bytes));
  add_counter(summary, "pymalloc_unattributed_bytes",
              static_cast<double>(profile_->unattributed_bytes));
  double variance = 0;
  for (const LiveShare& share : profile_->shares) variance += share.variance;
  add_counter(summary, "pymalloc_standard_error_bytes", std::sqrt(variance));
  const WatchCounts& counts = profile_->counts;
  for (const auto& [name, count] : {std::pair{"watches_drawn", counts.drawn},
                                    {"watches_missed", counts.missed},
                                    {"watches_late", counts.late},
                                    {"watches_kept", counts.kept},
                                    {"watches_kept_unseen", counts.kept_unseen},
                                    {"watches_temporary", counts.temporary},
                                    {"watches_worn", counts.worn},
                                    {"watches_gone", counts.gone},
                                    {"watch_stops", counts.stops}})
    add_counter(summary, name, static_cast<double>(count));
}

}  // namespace memspy::sampler
