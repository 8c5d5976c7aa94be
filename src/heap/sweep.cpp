#include "heap/sweep.h"

#include <algorithm>
#include <string_view>
#include <unordered_map>
#include <unordered_set>

#include <spdlog/fmt/fmt.h>

#include "heap/block_owners.h"
#include "heap/mapping_kind.h"
#include "heap/thread_stacks.h"

namespace memspy::heap {
namespace {

using PoolView = cpython::HeapWalker::PoolView;

// Between malloc's chunks lie arena headers and fence posts; more than this is something else.
constexpr std::uint64_t kMaxHeapHeader = 8192;
// The loader's block for the main thread: its descriptor and thread-local variables.
constexpr std::uint64_t kMaxThreadLocals = 1 << 20;

std::uint64_t end_of(const AddressRange& range) { return range.start.value + range.size; }

// Of a chunk, by the heap it lies in: MallocRange::heap.
Kind chunk_kind(std::string_view heap, bool in_use) {
  if (heap.starts_with("mmapped")) return Kind::kMallocLiveMapped;
  if (heap.starts_with("thread"))
    return in_use ? Kind::kMallocLiveThreads : Kind::kMallocFreeThreads;
  return in_use ? Kind::kMallocLiveMain : Kind::kMallocFreeMain;
}

class Sweeper {
 public:
  explicit Sweeper(const LedgerInput& input)
      : in_(input), claims_(input.pages, input.resident), kinds_(input.symbols) {
    sort_buffers();
    out_.objects.resize(input.graph.types().size());
    out_.buffers.resize(input.graph.types().size());
    placed_.nodes.resize(input.graph.node_count());
    placed_.buffers.resize(buffers_.size());
  }

  Sweep run() {
    sweep_pools();
    sweep_chunks();
    sweep_library_data();
    sweep_stacks();
    sweep_unplaced();
    for (std::size_t i = 0; i < claims_.mapping_count(); ++i) sweep_rest(i);
    return std::move(out_);
  }

 private:
  void sort_buffers();
  void sweep_pools();
  void sweep_pool(const PoolView& pool, BlockOwners& owners, std::size_t& arena);
  void sweep_chunks();
  std::uint64_t claim_chunk(std::uint64_t start, std::uint64_t end);
  void sweep_heap_headers(std::size_t range, std::uint64_t in_chunks);
  void sweep_library_data();
  void sweep_stacks();
  void sweep_unplaced();
  void sweep_rest(std::size_t mapping);
  void book(const std::optional<BlockOwner>& owner, std::uint64_t bytes, Kind nobody);
  std::uint64_t claim_free(std::uint64_t start, std::uint64_t end);
  bool unplaced_here(RemoteAddr address);

  const LedgerInput& in_;
  Claims claims_;
  MappingKinds kinds_;
  std::vector<cpython::HeapWalker::OwnedBuffer> sorted_;
  Buffers buffers_;
  Placed placed_;
  TakenRanges taken_, arenas_taken_;
  std::unordered_set<std::size_t>
      of_allocator_;  // mappings in which one that is only named has blocks
  Sweep out_;
};

void Sweeper::sort_buffers() {
  const auto before = [](const auto& a, const auto& b) { return a.address < b.address; };
  buffers_ = in_.buffers;
  if (std::is_sorted(buffers_.begin(), buffers_.end(), before)) return;
  sorted_.assign(buffers_.begin(), buffers_.end());
  std::sort(sorted_.begin(), sorted_.end(), before);
  buffers_ = sorted_;
}

void Sweeper::book(const std::optional<BlockOwner>& owner, std::uint64_t bytes, Kind nobody) {
  if (!owner || owner->type.value >= out_.objects.size()) {
    out_[nobody] += bytes;
  } else {
    (owner->buffer ? out_.buffers : out_.objects)[owner->type.value] += bytes;
  }
}

void Sweeper::sweep_pools() {
  std::uint64_t behind = 0;
  for (const AddressRange& arena : in_.arenas) {
    if (arena.start.value < behind || end_of(arena) <= arena.start.value) continue;  // hostile
    behind = end_of(arena);
    out_.arenas.push_back({arena, claims_.claim(arena.start.value, behind)});
  }
  BlockOwners owners(in_.graph, buffers_, placed_);
  std::size_t at = 0;
  if (in_.each_pool) in_.each_pool([&](const PoolView& pool) { sweep_pool(pool, owners, at); });
  std::vector<AddressRange> ranges;
  for (const ArenaUse& arena : out_.arenas) {
    out_[Kind::kPoolEmpty] += arena.resident - std::min(arena.resident, arena.in_pools);
    ranges.push_back(arena.range);
  }
  taken_.add(ranges);
  arenas_taken_.add(std::move(ranges));
}

void Sweeper::sweep_pool(const PoolView& pool, BlockOwners& owners, std::size_t& arena) {
  const std::uint64_t start = pool.address.value;
  const std::uint64_t end = start + pool.bytes;
  while (arena < out_.arenas.size() && end_of(out_.arenas[arena].range) <= start) ++arena;
  if (arena == out_.arenas.size() || start < out_.arenas[arena].range.start.value ||
      end > end_of(out_.arenas[arena].range) || pool.block_bytes == 0 ||
      pool.first_block >= pool.bytes) {
    return;
  }
  const std::uint64_t resident = claims_.resident(start, end);
  const std::size_t blocks = std::min<std::size_t>(
      (pool.bytes - pool.first_block) / pool.block_bytes, pool.used.size() * 64);
  std::uint64_t in_blocks = 0;
  for (std::size_t i = 0; i < blocks; ++i) {
    const std::uint64_t block = start + pool.first_block + i * pool.block_bytes;
    const std::uint64_t block_end = block + pool.block_bytes;
    const std::uint64_t bytes =
        resident == pool.bytes ? pool.block_bytes : claims_.resident(block, block_end);
    in_blocks += bytes;
    const auto owner = owners.owner_of(block, block_end);
    if ((pool.used[i / 64] >> (i % 64) & 1) == 0) {
      out_[Kind::kPoolFree] += bytes;
      continue;
    }
    out_.arenas[arena].used += pool.block_bytes;
    book(owner, bytes, Kind::kPoolOther);
  }
  out_[Kind::kPoolHeader] += resident - in_blocks;
  out_.arenas[arena].in_pools += resident;
}

// An arena may lie in a chunk: an embedding program gave pymalloc its memory from malloc.
std::uint64_t Sweeper::claim_chunk(std::uint64_t start, std::uint64_t end) {
  std::uint64_t bytes = 0;
  arenas_taken_.each_free(
      start, end, [&](std::uint64_t from, std::uint64_t to) { bytes += claims_.claim(from, to); });
  return bytes;
}

void Sweeper::sweep_heap_headers(std::size_t range, std::uint64_t in_chunks) {
  const auto& heap = in_.malloc.ranges()[range];
  std::uint64_t resident = 0;
  arenas_taken_.each_free(
      heap.start.value, heap.end.value,
      [&](std::uint64_t from, std::uint64_t to) { resident += claims_.resident(from, to); });
  const std::uint64_t rest = resident - std::min(resident, in_chunks);
  if (rest > kMaxHeapHeader) return;  // somebody else's brk, or a heap that could not be walked
  claims_.claim_bytes(heap.start.value, rest);
  out_[Kind::kMallocHeader] += rest;
}

void Sweeper::sweep_chunks() {
  constexpr std::uint64_t kUserPart = 16;
  const auto& ranges = in_.malloc.ranges();
  BlockOwners owners(in_.graph, buffers_, placed_);
  std::vector<std::uint64_t> in_chunks(ranges.size(), 0);
  std::size_t range = 0;
  in_.malloc.for_each_chunk([&](RemoteAddr user, std::uint64_t bytes, bool in_use) {
    const std::uint64_t start = user.value - kUserPart;
    while (range + 1 < ranges.size() && ranges[range].end.value <= start) ++range;
    const std::uint64_t resident = claim_chunk(start, start + bytes);
    const bool known = range < ranges.size();
    if (known) in_chunks[range] += resident;
    const Kind kind = chunk_kind(known ? ranges[range].heap : "", in_use);
    if (!in_use) {
      out_[kind] += resident;
      return;
    }
    book(owners.owner_of(start, start + bytes), resident, kind);
  });
  std::vector<AddressRange> taken;
  for (std::size_t i = 0; i < ranges.size(); ++i) {
    sweep_heap_headers(i, in_chunks[i]);
    taken.push_back({ranges[i].start, ranges[i].end.value - ranges[i].start.value});
  }
  taken_.add(std::move(taken));
}

std::uint64_t Sweeper::claim_free(std::uint64_t start, std::uint64_t end) {
  std::uint64_t bytes = 0;
  taken_.each_free(start, end,
                   [&](std::uint64_t from, std::uint64_t to) { bytes += claims_.claim(from, to); });
  taken_.add(AddressRange{{start}, end - start});
  return bytes;
}

// Zero-initialised data of a library lies in an anonymous mapping behind the file's.
void Sweeper::sweep_library_data() {
  for (const ModuleImage* module : in_.symbols.modules()) {
    for (const AddressRange& segment : module->writable_segments()) {
      for (std::size_t i = claims_.find(segment.start.value); i < claims_.mapping_count(); ++i) {
        const Mapping& mapping = claims_.mapping(i);
        if (mapping.start.value >= end_of(segment)) break;
        if (!mapping.anonymous() || !mapping.path.empty()) continue;
        out_[Kind::kData] += claim_free(std::max(segment.start.value, mapping.start.value),
                                        std::min(end_of(segment), mapping.end.value));
      }
    }
  }
}

void Sweeper::sweep_stacks() {
  std::vector<AddressRange> pieces;
  for (const AddressRange& range : claims_.ranges()) {
    const std::size_t at = claims_.find(range.start.value);
    for (std::size_t i = at; i < claims_.mapping_count(); ++i) {
      const Mapping& mapping = claims_.mapping(i);
      if (mapping.start.value >= end_of(range)) break;
      if (!mapping.anonymous() || !mapping.writable || mapping.shared ||
          mapping.path == "[stack]") {
        continue;
      }
      taken_.each_free(std::max(range.start.value, mapping.start.value),
                       std::min(end_of(range), mapping.end.value),
                       [&](std::uint64_t from, std::uint64_t to) {
                         pieces.push_back({{from}, to - from});
                       });
    }
  }
  const auto threads = find_thread_blocks(in_.memory, pieces);
  for (const ThreadBlock& thread : threads) {
    if (thread.stack.size != 0) {
      out_[Kind::kStacks] += claim_free(thread.stack.start.value, end_of(thread.stack));
      ++out_.stacks;
    }
  }
  for (const ThreadBlock& thread : threads) {
    const std::size_t at = claims_.find(thread.descriptor.value);
    if (thread.stack.size != 0 || at >= claims_.mapping_count()) continue;
    const Mapping& mapping = claims_.mapping(at);
    if (mapping.size() > kMaxThreadLocals) continue;
    out_[Kind::kData] += claim_free(mapping.start.value, mapping.end.value);
  }
}

bool Sweeper::unplaced_here(RemoteAddr address) {
  const std::size_t at = claims_.find(address.value);
  return at < claims_.mapping_count() && claims_.mapping(at).contains(address) &&
         claims_.mapping(at).anonymous() && claims_.mapping(at).writable;
}

// Objects and buffers of an allocator that was not walked, or with a mapping of their own: they
// have their computed size, up to the next one.
void Sweeper::sweep_unplaced() {
  std::unordered_map<std::uint32_t, std::uint64_t> owned;  // bytes besides the object itself
  for (const auto& buffer : buffers_) {
    if (buffer.owner.value < placed_.nodes.size() && !placed_.nodes[buffer.owner.value]) {
      owned[buffer.owner.value] += buffer.bytes;
    }
  }
  std::uint64_t behind = 0;
  std::vector<AddressRange> found;
  const bool named = !in_.malloc.totals().walked && in_.malloc.totals().allocator != "unknown";
  const auto place = [&](std::uint64_t start, std::uint64_t bytes, TypeIndex type, bool buffer) {
    const std::uint64_t from = std::max(start, behind);
    if (bytes == 0 || start + bytes <= from || start + bytes < start) return;
    if (named) of_allocator_.insert(claims_.find(start));
    behind = start + bytes;
    taken_.each_free(from, behind, [&](std::uint64_t a, std::uint64_t b) {
      book(BlockOwner{type, buffer}, claims_.claim(a, b), Kind::kUnexplained);
    });
    found.push_back({{from}, behind - from});
  };
  std::size_t buffer = 0;
  const auto place_buffers = [&](std::uint64_t limit) {
    for (; buffer < buffers_.size() && buffers_[buffer].address.value < limit; ++buffer) {
      const auto& owned_buffer = buffers_[buffer];
      if (placed_.buffers[buffer] || owned_buffer.owner.value >= in_.graph.node_count() ||
          !unplaced_here(owned_buffer.address)) {
        continue;
      }
      place(owned_buffer.address.value, owned_buffer.bytes, in_.graph.type(owned_buffer.owner),
            true);
    }
  };
  for (std::uint32_t node = 0; node < in_.graph.node_count(); ++node) {
    if (placed_.nodes[node] || (in_.graph.flags({node}) & kNodeStatic) != 0) continue;
    const RemoteAddr address = in_.graph.address({node});
    place_buffers(address.value);
    if (!unplaced_here(address)) continue;
    const auto more = owned.find(node);
    const std::uint64_t bytes = in_.graph.bytes({node});
    const std::uint64_t others = more == owned.end() ? 0 : std::min(bytes, more->second);
    place(address.value, bytes - others, in_.graph.type({node}), false);
  }
  place_buffers(UINT64_MAX);
  taken_.add(std::move(found));
}

void Sweeper::sweep_rest(std::size_t index) {
  const Mapping& mapping = claims_.mapping(index);
  out_.mapped_bytes += in_.pages[index].rss_bytes;
  if (claims_.left(index) < 0) {
    out_.overdrawn += static_cast<std::uint64_t>(-claims_.left(index));
    return;
  }
  std::uint64_t left = static_cast<std::uint64_t>(claims_.left(index));
  Kind kind = kinds_.of(mapping);
  // Its blocks are not known, but where Python's lie, the rest is the allocator's too.
  if (kind == Kind::kUnexplained && of_allocator_.contains(index)) kind = Kind::kAllocator;
  if (kind == Kind::kUnexplained) {
    const std::uint64_t slack = std::min(left, claims_.huge_bytes(index));
    out_[Kind::kHuge] += slack;
    left -= slack;
    if (left > out_.largest_unexplained_bytes) {
      out_.largest_unexplained_bytes = left;
      out_.largest_unexplained =
          fmt::format("{:x}-{:x}{}{}", mapping.start.value, mapping.end.value,
                      mapping.path.empty() ? "" : " ", mapping.path);
    }
  }
  if ((kind == Kind::kFiles || kind == Kind::kShared) && left > out_.largest_file_bytes) {
    out_.largest_file_bytes = left;
    out_.largest_file = mapping.path;
  }
  out_[kind] += left;
}

}  // namespace

Sweep sweep_memory(const LedgerInput& input) { return Sweeper(input).run(); }

}  // namespace memspy::heap
