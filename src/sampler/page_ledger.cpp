#include "sampler/page_ledger.h"

#include <algorithm>

namespace memspy::sampler {
namespace {

constexpr std::size_t kFaultAroundPages = 16;  // the kernel's fault_around_bytes, 64 KiB
constexpr std::size_t kScanChunks = 32;        // chunks read from pagemap in one call

std::uint16_t page_in_chunk(RemoteAddr page) {
  return static_cast<std::uint16_t>(page.value / kPageBytes % kChunkPages);
}

// Memory that can be resident and be given back. Device mappings and the kernel's own pages are
// not in RSS.
bool counts(const Mapping& mapping) {
  return (mapping.readable || mapping.writable) && mapping.path != "[vsyscall]" &&
         mapping.path != "[vvar]";
}

// The page cache maps neighbours along; shared memory is touched page by page, as anonymous memory
// is.
bool page_cache(const Mapping& mapping) {
  if (mapping.inode == 0) return false;
  for (const char* prefix : {"/dev/zero", "/SYSV", "/memfd:", "/dev/shm/"}) {
    if (mapping.path.starts_with(prefix)) return false;
  }
  return true;
}

}  // namespace

std::uint64_t PageLedger::Chunk::weight() const {
  std::uint64_t sum = 0;
  for (const Live& sample : live) sum += sample.weight;
  return sum;
}

std::uint64_t PageLedger::Chunk::held() const { return (present & ~baseline).count(); }

std::bitset<kChunkPages> PageLedger::Chunk::unwitnessed() const {
  std::bitset<kChunkPages> pages = present & ~baseline;
  for (const Live& sample : live) pages.reset(sample.page);
  return pages;
}

std::uint32_t PageLedger::owner_index(const LedgerOwner& owner) {
  const std::uint64_t key =
      (static_cast<std::uint64_t>(owner.thread.value) << 32) | owner.stack.value;
  const auto [it, fresh] =
      owner_index_.try_emplace(key, static_cast<std::uint32_t>(owners_.size()));
  if (fresh) owners_.push_back({owner, 0, 0, 0});
  return it->second;
}

void PageLedger::add(std::uint32_t owner, std::uint64_t pages) {
  if (owners_[owner].touched_pages == 0 && owners_[owner].returned_pages == 0)
    changed_.push_back(owner);
  owners_[owner].touched_pages += pages;
  net_pages_ += static_cast<std::int64_t>(pages);
}

void PageLedger::give_back(std::uint32_t owner, std::uint64_t pages) {
  if (owners_[owner].touched_pages == 0 && owners_[owner].returned_pages == 0)
    changed_.push_back(owner);
  owners_[owner].returned_pages += pages;
  net_pages_ -= static_cast<std::int64_t>(pages);
}

// Its page is gone: freed, or moved away (mremap), which settle() tells. The caller erases it.
void PageLedger::lose(const Live& sample) {
  give_back(sample.owner, sample.weight);
  gone_[sample.owner] += sample.weight;
  --live_samples_;
}

void PageLedger::drop_weightless(Chunk& chunk) {
  live_samples_ -= std::erase_if(chunk.live, [](const Live& sample) { return sample.weight == 0; });
}

void PageLedger::take_baseline(const MemoryMap& map) { (void)scan(map, true); }

// The page is held by an earlier sample. True: nothing more to do, it was a copy-on-write.
bool PageLedger::replace_live(Chunk& chunk, std::uint16_t page, std::uint64_t faults) {
  const auto it = std::find_if(chunk.live.begin(), chunk.live.end(),
                               [&](const Live& l) { return l.page == page; });
  if (it == chunk.live.end()) return false;
  if (it->age < fork_age_) {
    std::rotate(it, it + 1, chunk.live.end());  // oldest first
    chunk.live.back().age = ++age_;
    copied_pages_ += faults;
    return true;
  }
  lose(*it);
  chunk.live.erase(it);
  return false;
}

// Pages of the mapping that came with this one, itself included.
std::uint64_t PageLedger::fault_around(Chunk& chunk, RemoteAddr page, const Mapping& mapping) {
  const RemoteAddr block{page.value / (kFaultAroundPages * kPageBytes) *
                         (kFaultAroundPages * kPageBytes)};
  buffer_.assign(kFaultAroundPages, false);
  if (!tables_.read_present(block, buffer_)) return 1;
  std::uint64_t fresh = 0;
  for (std::size_t i = 0; i < kFaultAroundPages; ++i) {
    const std::size_t at = page_in_chunk(block) + i;
    if (!buffer_[i] || chunk.baseline[at] || chunk.claimed[at]) continue;
    if (!mapping.contains(block + i * kPageBytes)) continue;
    chunk.claimed.set(at);
    ++fresh;
  }
  return std::max<std::uint64_t>(fresh, 1);
}

// It was given back and is touched anew, and so were those that the sample stands for besides: the
// ones below it, mostly, as memory is touched upwards. Were they left in the baseline they would be
// given back again in the next round.
std::uint64_t PageLedger::take_from_baseline(Chunk& chunk, std::size_t page, std::uint64_t faults) {
  std::uint64_t taken = 0;
  const auto take = [&](std::size_t at) {
    taken += chunk.baseline[at] ? 1 : 0;
    chunk.baseline.reset(at);
  };
  for (std::size_t at = page + 1; at-- > 0 && taken < faults;) take(at);
  for (std::size_t at = page + 1; at < kChunkPages && taken < faults; ++at) take(at);
  return taken;
}

void PageLedger::touch(const LedgerOwner& owner, RemoteAddr page, std::uint64_t faults,
                       const MemoryMap& map) {
  const std::uint32_t who = owner_index(owner);
  ++owners_[who].samples;
  if (!page) {
    add(who, faults);
    unplaced_[who] += faults;
    return;
  }
  Chunk& chunk = chunks_[chunk_of(page)];
  const std::uint16_t at = page_in_chunk(page);
  if (replace_live(chunk, at, faults)) return;
  if (chunk.baseline[at]) {
    if (fork_age_ != 0) {
      copied_pages_ += faults;
      return;
    }
    shrink_pages_ += take_from_baseline(chunk, at, faults);
  }
  const Mapping* mapping = find_mapping(map, page);
  const bool file = mapping != nullptr && page_cache(*mapping);
  const std::uint64_t pages = faults * (file ? fault_around(chunk, page, *mapping) : 1);
  chunk.live.push_back(
      {++age_, who, static_cast<std::uint32_t>(std::min<std::uint64_t>(pages, UINT32_MAX)), at});
  ++live_samples_;
  add(who, chunk.live.back().weight);
  if (!chunk.dirty) dirty_.push_back(chunk_of(page));
  chunk.dirty = true;
  if (live_samples_ > merge_at_) merge_pairs();
}

void PageLedger::reassign(RemoteAddr start, std::uint64_t bytes, StackId stack) {
  const RemoteAddr end = start + bytes;
  for (RemoteAddr at = start_of(chunk_of(start)); at < end; at = at + kChunkBytes) {
    const auto chunk = chunks_.find(chunk_of(at));
    if (chunk == chunks_.end()) continue;
    for (Live& sample : chunk->second.live) {
      const RemoteAddr page = at + sample.page * kPageBytes;
      const LedgerOwner owner = owners_[sample.owner].owner;
      if (page < start || page >= end || owner.stack == stack) continue;
      give_back(sample.owner, sample.weight);
      sample.owner = owner_index({owner.thread, stack});
      add(sample.owner, sample.weight);
    }
  }
}

// A chunk that one fault filled, or that the kernel has made one page since (khugepaged fills the
// holes): what nobody has touched page by page is shared by those who have touched the rest.
void PageLedger::weigh_huge(ChunkIndex index, Chunk& chunk) {
  if (chunk.huge || chunk.live.empty() || !chunk.present.all()) return;
  const std::uint64_t claimed = chunk.weight() + chunk.baseline.count();
  if (claimed + kHugeShortfall > kChunkPages) return;  // filled page by page
  const auto huge = tables_.is_huge(start_of(index));
  // Where the kernel does not tell: small pages would have left more samples behind.
  if (!huge.value_or(chunk.dirty && chunk.live.size() == 1 && chunk.live.front().weight <= 8))
    return;
  grow(chunk, kChunkPages - claimed);
  mark_huge(chunk);
}

// Its samples stand for all of it by now.
void PageLedger::mark_huge(Chunk& chunk) {
  chunk.huge = true;
  chunk.huge_age = age_;
  ++huge_pages_;
}

// More pages for those that have touched some, in proportion.
void PageLedger::grow(Chunk& chunk, std::uint64_t pages) {
  std::uint64_t weight = chunk.weight();
  for (Live& sample : chunk.live) {
    if (weight == 0) return;
    const auto more = static_cast<std::uint32_t>(pages * sample.weight / weight);
    weight -= sample.weight;
    pages -= more;
    sample.weight += more;
    add(sample.owner, more);
  }
}

// A chunk that was one huge page when last looked at. Pages of it may be gone, or it may have been
// unmapped and touched anew.
void PageLedger::review_huge(ChunkIndex index, Chunk& chunk) {
  const std::uint64_t age = chunk.huge_age;
  const bool touched =
      std::any_of(chunk.live.begin(), chunk.live.end(), [&](const Live& l) { return l.age > age; });
  if (chunk.present.all() && !touched) return;
  chunk.huge = false;
  if (touched && chunk.present.all() && tables_.is_huge(start_of(index)).value_or(false)) {
    if (fork_age_ <= age) drop_older(chunk, age);  // else it may have been a copy-on-write
    return;
  }
  shrink_older(chunk, age);
}

void PageLedger::drop_older(Chunk& chunk, std::uint64_t age) {
  std::erase_if(chunk.live, [&](const Live& sample) {
    if (sample.age > age) return false;
    lose(sample);
    return true;
  });
}

// The samples up to `age` share what is left of the chunk, whichever of its pages were their
// witnesses.
void PageLedger::shrink_older(Chunk& chunk, std::uint64_t age) {
  std::bitset<kChunkPages> open = chunk.present & ~chunk.baseline;
  std::uint64_t old = 0, younger = 0;
  for (const Live& sample : chunk.live) {
    if (sample.age > age || chunk.present[sample.page]) open.reset(sample.page);
    (sample.age > age ? younger : old) += sample.weight;
  }
  const std::uint64_t room = std::min(old, chunk.held() - std::min(chunk.held(), younger));
  std::uint64_t seen = 0, kept = 0;
  std::size_t page = 0;
  for (Live& sample : chunk.live) {
    if (sample.age > age) continue;
    seen += sample.weight;
    const std::uint64_t upto = room * seen / old;
    const auto weight = static_cast<std::uint32_t>(upto - kept);
    kept = upto;
    give_back(sample.owner, sample.weight - weight);
    sample.weight = weight;
    while (page < kChunkPages && !open[page]) ++page;
    if (!chunk.present[sample.page] && page < kChunkPages)
      sample.page = static_cast<std::uint16_t>(page++);
  }
  drop_weightless(chunk);
}

void PageLedger::update(ChunkIndex index, Chunk& chunk, const std::bitset<kChunkPages>& present) {
  chunk.present = present;
  const auto gone = chunk.baseline & ~present;
  shrink_pages_ += gone.count();
  baseline_gone_ += gone.count();
  chunk.baseline &= present;
  chunk.claimed &= present;
  if (chunk.huge) review_huge(index, chunk);
  std::erase_if(chunk.live, [&](const Live& sample) {
    if (present[sample.page]) return false;
    lose(sample);
    return true;
  });
  weigh_huge(index, chunk);
}

void PageLedger::check_touched() {
  for (const ChunkIndex index : dirty_) {
    const auto it = chunks_.find(index);
    if (it == chunks_.end()) continue;
    buffer_.assign(kChunkPages, false);
    if (tables_.read_present(start_of(index), buffer_)) {
      std::bitset<kChunkPages> present;
      for (std::size_t i = 0; i < kChunkPages; ++i) present[i] = buffer_[i];
      update(index, it->second, present);
    }
    it->second.dirty = false;
  }
  dirty_.clear();
}

// Reads every page of the map, a run of chunks at a time; mappings that share a chunk are put
// together. False when the page tables cannot be read: then nothing is known to be gone.
bool PageLedger::scan(const MemoryMap& map, bool baseline) {
  std::unordered_map<ChunkIndex, std::bitset<kChunkPages>> seen;
  for (const Mapping& mapping : map) {
    if (!counts(mapping)) continue;
    for (RemoteAddr at = mapping.start; at < mapping.end;) {
      const std::uint64_t bytes = std::min(mapping.end.value - at.value, kScanChunks * kChunkBytes);
      buffer_.assign(bytes / kPageBytes, false);
      if (!tables_.read_present(at, buffer_)) return false;
      for (std::size_t i = 0; i < buffer_.size(); ++i) {
        if (buffer_[i]) seen[chunk_of(at + i * kPageBytes)].set(page_in_chunk(at + i * kPageBytes));
      }
      at = at + bytes;
    }
  }
  for (auto& [index, present] : seen) {
    Chunk& chunk = chunks_[index];
    if (baseline) chunk.baseline = present;
    update(index, chunk, present);
  }
  if (baseline) return true;
  for (auto it = chunks_.begin(); it != chunks_.end();) {
    if (!seen.contains(it->first)) update(it->first, it->second, {});
    it = it->second.present.none() && it->second.live.empty() && !it->second.dirty
             ? chunks_.erase(it)
             : std::next(it);
  }
  return true;
}

bool PageLedger::audit(const MemoryMap& map) {
  // A process that has given up its memory on its way out maps nothing, and has no page tables.
  if (map.empty() || !scan(map, false)) return false;
  for (auto& [index, chunk] : chunks_) chunk.dirty = false;
  dirty_.clear();
  return true;
}

// Halves the samples of crowded chunks: two of one owner become one witness for both. Which of the
// two pages stays alternates, so that neither end of a chunk is favoured. Chunks of many owners may
// not get smaller: the next time is then put off, so that the price stays small for each sample.
void PageLedger::merge_pairs() {
  bool keep_later = false;
  for (auto& [index, chunk] : chunks_) {
    if (chunk.live.size() < 2) continue;
    std::stable_sort(chunk.live.begin(), chunk.live.end(),
                     [](const Live& a, const Live& b) { return a.owner < b.owner; });
    std::vector<Live> kept;
    for (std::size_t i = 0; i < chunk.live.size(); ++i) {
      Live sample = chunk.live[i];
      if (i + 1 < chunk.live.size() && chunk.live[i + 1].owner == sample.owner) {
        const Live& partner = chunk.live[++i];
        const std::uint32_t weight = sample.weight + partner.weight;
        if (keep_later) sample = partner;
        sample.weight = weight;
        keep_later = !keep_later;
        --live_samples_;
      }
      kept.push_back(sample);
    }
    std::sort(kept.begin(), kept.end(), [](const Live& a, const Live& b) { return a.age < b.age; });
    chunk.live = std::move(kept);
  }
  merge_at_ = std::max(kMaxLiveSamples, live_samples_ + live_samples_ / 4);
}

std::vector<LedgerDelta> PageLedger::drain() {
  std::vector<LedgerDelta> deltas;
  deltas.reserve(changed_.size());
  for (const std::uint32_t owner : changed_) {
    const LedgerDelta& delta = owners_[owner];
    if (delta.touched_pages != 0 || delta.returned_pages != 0 || delta.samples != 0)
      deltas.push_back(delta);
    owners_[owner] = {owners_[owner].owner, 0, 0, 0};
  }
  changed_.clear();
  return deltas;
}

}  // namespace memspy::sampler
