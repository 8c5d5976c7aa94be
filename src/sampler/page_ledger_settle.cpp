// The part of the ledger that brings claims and RSS together.
#include <algorithm>
#include <array>
#include <bitset>
#include <utility>
#include <vector>

#include "sampler/page_ledger.h"

namespace memspy::sampler {
namespace {

// So many pages without a claim for each that has one: it was a huge page, and is split.
constexpr std::uint64_t kSplitRoom = 16;
constexpr std::uint64_t kNeighbourChunks = 16;
constexpr std::size_t kLongMissing = 5;  // settle()s
constexpr std::uint64_t kMovedRoom =
    16;  // a piece that moved has at least so many pages in a chunk
constexpr std::uint32_t kNobody = UINT32_MAX, kAbsent = UINT32_MAX - 1;  // no stack's id

// Whose which page of a chunk is: the stack's id.
using Places = std::array<std::uint32_t, kChunkPages>;

// The last page of the longest run: what has moved there was filled up to it.
std::size_t end_of_longest_run(const std::bitset<kChunkPages>& pages) {
  std::size_t best = 0, longest = 0, run = 0;
  for (std::size_t page = 0; page < kChunkPages; ++page) {
    run = pages[page] ? run + 1 : 0;
    if (run <= longest) continue;
    longest = run;
    best = page;
  }
  return best;
}

// Takes `count` pages for what was touched at `page`: mostly those before it, as memory is filled
// upwards, and beyond what is the stack's already. Returns how many it got.
std::uint32_t occupy(Places& places, std::size_t page, std::uint32_t count, std::uint32_t stack) {
  std::uint32_t got = 0;
  const auto walk = [&](std::size_t from, std::size_t step) {  // wraps around below 0
    for (std::size_t at = from; at < kChunkPages && got < count; at += step) {
      if (places[at] != kNobody && places[at] != stack) return;
      got += places[at] == kNobody ? 1 : 0;
      places[at] = stack;
    }
  };
  walk(page, SIZE_MAX);
  walk(page + 1, 1);
  return got;
}

}  // namespace

void PageLedger::settle(std::int64_t limit_pages, const AwaitedFaults& awaited,
                        const MemoryMap& map, Settling settling) {
  const std::int64_t surplus = net_pages_ - limit_pages;
  if (surplus > 0) take_back(surplus);
  settling_ = settling;
  std::int64_t missing = std::max<std::int64_t>(-surplus - reserve(awaited), 0);
  if (missing > 0) missing = follow_moves(adopt_huge(fill_up(missing, kSplitRoom), map));
  if (settling == Settling::kGoesOn) missing = long_missing(missing);
  if (missing > 0) fill_up(missing, 0);
  gone_before_ = std::exchange(gone_, {});
  baseline_gone_before_ = std::exchange(baseline_gone_, 0);
  note_unclaimed();
}

// Pages without a claim that no record on its way will claim.
std::uint64_t PageLedger::open_room(const Chunk& chunk) const {
  const std::uint64_t held = chunk.held();
  const std::uint64_t room = held - std::min(held, chunk.weight() + chunk.awaited);
  return settling_ == Settling::kLast ? room : std::min<std::uint64_t>(room, chunk.unclaimed);
}

// How many pages the awaited claims will be for; notes it in their chunks.
std::int64_t PageLedger::reserve(const AwaitedFaults& awaited) {
  std::int64_t pages = 0;
  for (const auto& [index, faults] : awaited) {
    if (faults <= 0) continue;
    const auto it = chunks_.find(index);
    if (it == chunks_.end()) {
      pages += faults;
      continue;
    }
    Chunk& chunk = it->second;
    const std::uint64_t held = chunk.held();
    std::uint64_t room = held - std::min(held, chunk.weight());
    const auto few = std::min(room, static_cast<std::uint64_t>(faults));
    if (room >= few + kHugeShortfall && !tables_.is_huge(start_of(index)).value_or(false))
      room = few;
    chunk.awaited = static_cast<std::uint16_t>(room);
    pages += chunk.awaited;
  }
  return pages;
}

void PageLedger::note_unclaimed() {
  for (auto& [index, chunk] : chunks_) {
    const std::uint64_t held = chunk.held();
    chunk.unclaimed = static_cast<std::uint16_t>(held - std::min(held, chunk.weight()));
    chunk.awaited = 0;
  }
}

// What has been missing at each of the last few times.
std::int64_t PageLedger::long_missing(std::int64_t missing) {
  missing_.push_back(missing);
  if (missing_.size() < kLongMissing) return 0;
  const std::int64_t least = *std::min_element(missing_.begin(), missing_.end());
  missing_.erase(missing_.begin());
  for (std::int64_t& pages : missing_) pages -= least;
  return least;
}

// Chunks that claim most first.
void PageLedger::take_back(std::int64_t surplus) {
  std::vector<std::pair<std::int64_t, Chunk*>> overclaims;
  for (auto& [index, chunk] : chunks_) {
    const auto over =
        static_cast<std::int64_t>(chunk.weight()) - static_cast<std::int64_t>(chunk.held());
    if (over > 0) overclaims.emplace_back(over, &chunk);
  }
  std::sort(overclaims.begin(), overclaims.end(),
            [](const auto& a, const auto& b) { return a.first > b.first; });
  for (auto& [over, chunk] : overclaims) {
    if (surplus <= 0) break;
    surplus -= take_back_from(*chunk, std::min(over, surplus));
  }
  if (surplus > 0) take_back_unplaced(surplus);
}

// The youngest claims have the pages around their witnesses, for what lies there now was touched
// last. One whose own page is taken that way was touched before, and is gone. Where a chunk was
// mapped more than once all of these go, and what that leaves too much of room, as thinned records
// fall, is for those that stay; where claims are a little off, the oldest make up for it.
std::int64_t PageLedger::take_back_from(Chunk& chunk, std::int64_t surplus) {
  const Crowding crowding = crowding_of(chunk);
  const bool again = 2 * surplus >= static_cast<std::int64_t>(chunk.held());
  std::int64_t taken = 0;
  const auto take = [&](Live& sample, std::int64_t most) {
    const auto pages = static_cast<std::uint32_t>(std::min<std::int64_t>(most, sample.weight));
    sample.weight -= pages;
    give_back(sample.owner, pages);
    taken += pages;
  };
  for (const std::size_t index : crowding.gone) {
    if (!again && taken >= surplus) break;
    take(chunk.live[index], again ? INT64_MAX : surplus - taken);
  }
  for (const auto& [index, pages] : crowding.lacking) {
    if (taken >= surplus) break;
    take(chunk.live[index], std::min<std::int64_t>(pages, surplus - taken));
  }
  drop_weightless(chunk);
  if (taken > surplus) grow(chunk, static_cast<std::uint64_t>(taken - surplus));
  return std::min(taken, surplus);
}

PageLedger::Crowding PageLedger::crowding_of(const Chunk& chunk) const {
  Places places{};
  for (std::size_t page = 0; page < kChunkPages; ++page)
    places[page] = chunk.present[page] && !chunk.baseline[page] ? kNobody : kAbsent;
  Crowding crowding;
  for (std::size_t i = chunk.live.size(); i-- > 0;) {
    const Live& sample = chunk.live[i];
    const std::uint32_t stack = owners_[sample.owner].owner.stack.value, has = places[sample.page];
    // A huge page has its witnesses anywhere.
    const bool open = chunk.huge || has == kNobody;
    if (!open && has != stack) {
      crowding.gone.push_back(i);
      continue;
    }
    const auto got = open ? occupy(places, sample.page, sample.weight, stack) : 0;
    if (got < sample.weight) crowding.lacking.emplace_back(i, sample.weight - got);
  }
  std::reverse(crowding.gone.begin(), crowding.gone.end());
  std::reverse(crowding.lacking.begin(), crowding.lacking.end());
  return crowding;
}

// Samples without an address: nothing tells them apart, all shrink alike.
void PageLedger::take_back_unplaced(std::int64_t surplus) {
  std::uint64_t total = 0;
  for (const auto& [owner, pages] : unplaced_) total += pages;
  if (total == 0) return;
  const double keep = 1 - std::min(1.0, static_cast<double>(surplus) / static_cast<double>(total));
  for (auto& [owner, pages] : unplaced_) {
    const auto left = static_cast<std::uint64_t>(static_cast<double>(pages) * keep);
    give_back(owner, pages - left);
    pages = left;
  }
}

// Chunks with `room` pages without a claim for each that has one, and more. Returns what is missing
// then.
std::int64_t PageLedger::fill_up(std::int64_t deficit, std::uint64_t room) {
  for (auto& [index, chunk] : chunks_) {
    if (deficit <= 0) break;
    const std::uint64_t open = open_room(chunk), weight = chunk.weight();
    if (weight == 0 || open < std::max(weight * room, kHugeShortfall)) continue;
    const std::uint64_t pages = std::min(open, static_cast<std::uint64_t>(deficit));
    grow(chunk, pages);
    deficit -= static_cast<std::int64_t>(pages);
  }
  return deficit;
}

// The sample of the same mapping that was touched nearest to the ends of a chunk; null: there is
// none near by. Buffers are filled page by page, and seldom begin where a huge page does: what lies
// next to one belongs to its buffer, while whole neighbours may belong to others. Ties go to the
// side that fills come from.
const PageLedger::Live* PageLedger::nearest_sample(ChunkIndex index, const Mapping& mapping) const {
  for (ChunkIndex away = 1; away <= kNeighbourChunks; ++away) {
    const Edge below = edge_of(index - away, true, mapping);
    const Edge above = edge_of(index + away, false, mapping);
    if (below.sample == nullptr && above.sample == nullptr) continue;
    return below.distance <= above.distance ? below.sample : above.sample;
  }
  return nullptr;
}

// The sample of the highest or the lowest page that a chunk has in the mapping, and how far from
// the chunk's end that is. A huge page reaches both ends.
PageLedger::Edge PageLedger::edge_of(ChunkIndex index, bool highest, const Mapping& mapping) const {
  const auto it = chunks_.find(index);
  if (it == chunks_.end()) return {};
  Edge edge;
  for (const Live& sample : it->second.live) {
    if (!mapping.contains(start_of(index) + sample.page * kPageBytes)) continue;
    const std::uint64_t distance = highest ? kChunkPages - 1 - sample.page : sample.page;
    if (distance < edge.distance) edge = {&sample, distance};
  }
  if (edge.sample != nullptr && it->second.huge) edge.distance = 0;
  return edge;
}

// Ascending, so that one huge page that was adopted speaks for the next of the same buffer.
std::int64_t PageLedger::adopt_huge(std::int64_t deficit, const MemoryMap& map) {
  std::vector<ChunkIndex> orphans;
  for (const auto& [index, chunk] : chunks_) {
    if (chunk.live.empty() && chunk.present.all() && open_room(chunk) == kChunkPages)
      orphans.push_back(index);
  }
  std::sort(orphans.begin(), orphans.end());
  for (const ChunkIndex index : orphans) {
    if (deficit < static_cast<std::int64_t>(kChunkPages)) break;
    const Mapping* mapping = find_mapping(map, start_of(index));
    const Live* neighbour = mapping == nullptr ? nullptr : nearest_sample(index, *mapping);
    if (neighbour == nullptr || !tables_.is_huge(start_of(index)).value_or(false)) continue;
    Chunk& chunk = chunks_.at(index);
    const std::uint32_t owner = neighbour->owner;
    chunk.live.push_back({++age_, owner, kChunkPages, 0});
    ++live_samples_;
    add(owner, kChunkPages);
    mark_huge(chunk);
    deficit -= static_cast<std::int64_t>(kChunkPages);
  }
  return deficit;
}

// A list that was there before the run is baseline at its old end and somebody's at its new one: it
// moves as a whole.
std::int64_t PageLedger::follow_moves(std::int64_t deficit) {
  deficit = follow_moves(follow_baseline(deficit, baseline_gone_before_), gone_before_);
  if (settling_ != Settling::kLast) return deficit;
  return follow_moves(follow_baseline(deficit, baseline_gone_), gone_);
}

// Less than that is what thinned records leave open anywhere.
bool PageLedger::holds_moved(const Chunk& chunk, std::uint64_t room) const {
  return room >= chunk.held() / 2 && room >= kMovedRoom;
}

std::int64_t PageLedger::follow_baseline(std::int64_t deficit, std::uint64_t& gone) {
  for (auto& [index, chunk] : chunks_) {
    if (deficit <= 0 || gone == 0) break;
    const std::uint64_t room = open_room(chunk);
    if (!holds_moved(chunk, room)) continue;
    const std::bitset<kChunkPages> open = chunk.unwitnessed();
    std::uint64_t pages = std::min({room, static_cast<std::uint64_t>(deficit), gone});
    for (std::size_t page = 0; page < kChunkPages && pages > 0; ++page) {
      if (!open[page]) continue;
      chunk.baseline.set(page);
      --pages;
      --gone;
      --deficit;
      --shrink_pages_;
    }
  }
  return deficit;
}

std::int64_t PageLedger::follow_moves(std::int64_t deficit,
                                      std::unordered_map<std::uint32_t, std::uint64_t>& from) {
  auto gone = from.begin();
  for (auto& [index, chunk] : chunks_) {
    std::uint64_t room = open_room(chunk);
    if (!holds_moved(chunk, room)) continue;
    while (room > 0 && deficit > 0 && gone != from.end()) {
      const auto pages = std::min({room, static_cast<std::uint64_t>(deficit), gone->second});
      const std::uint64_t placed = place_moved(chunk, gone->first, pages);
      if (placed == 0) break;
      room -= placed;
      deficit -= static_cast<std::int64_t>(placed);
      gone->second -= placed;
      if (gone->second == 0) ++gone;
    }
    if (deficit <= 0 || gone == from.end()) break;
  }
  return deficit;
}

// A new witness for pages that have moved into this chunk; returns for how many.
std::uint64_t PageLedger::place_moved(Chunk& chunk, std::uint32_t owner, std::uint64_t pages) {
  const std::bitset<kChunkPages> open = chunk.unwitnessed();
  if (open.none()) return 0;
  const auto page = static_cast<std::uint16_t>(end_of_longest_run(open));
  chunk.live.push_back({++age_, owner, static_cast<std::uint32_t>(pages), page});
  ++live_samples_;
  // They had been given back by mistake; what was said of it already is made good by touching anew.
  LedgerDelta& delta = owners_[owner];
  if (delta.returned_pages >= pages) {
    delta.returned_pages -= pages;
    net_pages_ += static_cast<std::int64_t>(pages);
  } else {
    add(owner, pages);
  }
  return pages;
}

}  // namespace memspy::sampler
