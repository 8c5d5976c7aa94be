#include "malloc/heap_walk.h"

#include <algorithm>
#include <unordered_set>

#include <spdlog/fmt/fmt.h>

#include "malloc/mmapped_chunks.h"
#include "malloc/page_walk.h"

namespace memspy::malloc {
namespace {

// HEAP_MAX_SIZE: 64 MiB; four huge pages where glibc.malloc.hugetlb says so.
constexpr std::uint64_t kHeapSizes[] = {64ULL << 20, 8ULL << 20, 4ULL << 30};
constexpr std::size_t kMaxHeaps = 1 << 20;
// sizeof(heap_info): behind it lies the arena itself, or (in its further heaps) the first chunk.
constexpr std::uint64_t kHeapHeaders[] = {48, 32};
constexpr std::size_t kMaxCandidates = 1 << 20;
// A search for the first chunk of a piece: how far it looks, and how many chunks must follow.
constexpr std::uint64_t kMaxSearch = 1 << 20;
constexpr unsigned kConfirmations = 32;
// Of the search for pieces outside of brk, in chunks.
constexpr std::uint64_t kMaxSteps = 1ULL << 30;
constexpr std::uint64_t kNonContiguous = 2;  // of an arena's flags

struct Heap {
  std::uint64_t address = 0, end = 0, previous = 0;
};

class Walker {
 public:
  explicit Walker(const WalkInput& input)
      : in_(input), layout_(*input.arenas.layout), window_(input.memory) {}

  HeapWalk run() {
    const std::uint64_t top = top_of(in_.arenas.main.value);
    walk_brk_heap(top);
    std::size_t number = 0;
    for (const RemoteAddr arena : in_.arenas.threads) walk_thread_arena(arena.value, ++number);
    walk_elsewhere(top);
    walk_mmapped();
    out_.chunks.index();
    std::sort(out_.pieces.begin(), out_.pieces.end(),
              [](const HeapPiece& a, const HeapPiece& b) { return a.start < b.start; });
    return std::move(out_);
  }

 private:
  std::uint64_t top_of(std::uint64_t arena) { return word(arena + layout_.top); }
  std::uint64_t word(std::uint64_t address) {
    return Window(in_.memory, 64).word(address).value_or(0);
  }

  void walk_brk_heap(std::uint64_t top);
  std::pair<std::uint64_t, std::uint64_t> brk_range(std::uint64_t top) const;
  void walk_elsewhere(std::uint64_t top);
  void walk_thread_arena(std::uint64_t arena, std::size_t number);
  std::optional<Heap> heap_of(std::uint64_t address, std::uint64_t arena, std::uint64_t heap_size);
  void walk_mmapped();
  std::uint64_t piece_bytes(std::uint64_t start, std::uint64_t end, std::uint64_t top);

  // Walks chunks from `at` to the top of the arena, a fence post or `end`; returns where it
  // stopped. A contradiction stops it too, and is counted.
  std::uint64_t walk_run(std::uint64_t at, std::uint64_t end, std::uint64_t top);
  void walk_piece(std::uint64_t start, std::uint64_t end, std::uint64_t top);
  std::uint64_t chunk_size(std::uint64_t chunk, std::uint64_t end, std::uint64_t* flags);
  std::uint64_t top_size(std::uint64_t top, std::uint64_t end);
  bool confirmed(std::uint64_t at, std::uint64_t end, std::uint64_t top);
  std::optional<std::uint64_t> first_chunk(std::uint64_t from, std::uint64_t end,
                                           std::uint64_t top);
  void note(std::uint64_t chunk, std::uint64_t size);

  const WalkInput& in_;
  const ArenaLayout& layout_;
  Window window_;
  HeapWalk out_;
  std::uint64_t steps_ = 0;
};

// Bytes of the chunk, 0 when they cannot be: too small, or beyond `end`.
std::uint64_t Walker::chunk_size(std::uint64_t chunk, std::uint64_t end, std::uint64_t* flags) {
  const auto word = window_.word(chunk + kSizeField);
  if (!word) return 0;
  const std::uint64_t size = *word & ~kSizeBits;
  *flags = *word & kSizeBits;
  if (size < kHeaderSize || size % kAlignment != 0 || size > end - chunk || (*flags & kIsMmapped)) {
    return 0;
  }
  return size;
}

// The top reaches to the end of a page, and where its size says something else (a thread was taking
// a chunk from it) to the end of what malloc has.
std::uint64_t Walker::top_size(std::uint64_t top, std::uint64_t end) {
  std::uint64_t flags = 0;
  const std::uint64_t size = chunk_size(top, end, &flags);
  return size != 0 && (top + size) % kPageSize == 0 ? size : end - top;
}

void Walker::note(std::uint64_t chunk, std::uint64_t size) {
  for (const ThreadCacheLayout& cache : thread_cache_layouts()) {
    if (size == cache.chunk && out_.cache_candidates.size() < kMaxCandidates) {
      out_.cache_candidates.push_back(chunk);
    }
  }
}

std::uint64_t Walker::walk_run(std::uint64_t at, std::uint64_t end, std::uint64_t top) {
  out_.chunks.begin_run();
  const std::uint64_t start = at;
  std::uint64_t waiting = 0;  // a chunk whose neighbour says whether it is in use
  std::uint64_t waiting_size = 0;
  while (at + kHeaderSize <= end) {
    std::uint64_t flags = kPrevInUse;  // of the top: what lies before it is never free
    std::uint64_t size = at == top ? top_size(at, end) : chunk_size(at, end, &flags);
    if (size == 0 || (size < kMinChunk && at == start)) {
      ++out_.rejected;
      break;
    }
    // A chunk that was just taken from the top has the top's size until its own is written.
    if (at < top && top - at < size) size = top - at;
    if (waiting != 0) {
      const bool in_use = (flags & kPrevInUse) != 0;
      out_.chunks.add(waiting, in_use);
      if (in_use) note(waiting, waiting_size);
      waiting = 0;
    }
    if (size < kMinChunk) break;  // a fence post: the end of this piece
    if (at == top) {
      out_.chunks.add(at, false);
      out_.tops.push_back(at);
      at += size;
      break;
    }
    waiting = at;
    waiting_size = size;
    at += size;
  }
  if (waiting != 0) out_.chunks.add(waiting, true);
  out_.chunks.end_run(at);
  return at;
}

bool Walker::confirmed(std::uint64_t at, std::uint64_t end, std::uint64_t top) {
  const auto first = window_.word(at + kSizeField);
  if (!first || !(*first & kPrevInUse)) return false;  // what lies before is not malloc's
  for (unsigned i = 0; i < kConfirmations && at + kHeaderSize <= end; ++i) {
    if (at == top) return true;
    std::uint64_t flags = 0;
    const std::uint64_t size = chunk_size(at, end, &flags);
    if (size == 0) return false;
    if (size < kMinChunk) return i != 0;
    at += size;
  }
  return true;
}

std::optional<std::uint64_t> Walker::first_chunk(std::uint64_t from, std::uint64_t end,
                                                 std::uint64_t top) {
  const std::uint64_t limit = std::min(end, from + kMaxSearch);
  for (std::uint64_t at = from; at + kMinChunk <= limit; at += kAlignment) {
    if (confirmed(at, end, top)) return at;
  }
  return std::nullopt;
}

// One contiguous piece, which may have holes: memory that something else took from brk between two
// extensions of the heap, or what lies before the first chunk (a static program's thread block).
void Walker::walk_piece(std::uint64_t start, std::uint64_t end, std::uint64_t top) {
  std::uint64_t at = start;
  while (at < end) {
    const auto first = first_chunk(at, end, top);
    if (!first) break;
    const bool had_top = !out_.tops.empty() && out_.tops.back() == top;
    at = std::max(walk_run(*first, end, top), *first + kMinChunk);
    if (!had_top && !out_.tops.empty() && out_.tops.back() == top) break;
  }
}

// The mappings of brk: by their name, or (a core file has none) around the top.
std::pair<std::uint64_t, std::uint64_t> Walker::brk_range(std::uint64_t top) const {
  const auto is_heap = [](const Mapping& m) { return m.path == "[heap]" && m.writable; };
  auto first = std::find_if(in_.map.begin(), in_.map.end(), is_heap);
  if (first == in_.map.end()) {
    first = std::find_if(in_.map.begin(), in_.map.end(),
                         [&](const Mapping& m) { return m.contains({top}); });
    if (first == in_.map.end() || !first->writable || !first->anonymous()) return {};
    while (first != in_.map.begin() && (first - 1)->end == first->start && (first - 1)->writable &&
           (first - 1)->anonymous()) {
      --first;
    }
  }
  std::uint64_t end = first->end.value;  // in several mappings after mlock or madvise on a part
  for (auto it = first + 1; it != in_.map.end() && it->start.value == end && it->writable &&
                            it->path == first->path && it->anonymous();
       ++it) {
    end = it->end.value;
  }
  return {first->start.value, end};
}

void Walker::walk_brk_heap(std::uint64_t top) {
  const auto [start, end] = brk_range(top);
  if (start == end) return;
  out_.pieces.push_back({start, end, "main arena"});
  walk_piece(start, end, top);
}

// Bytes from `start` to where a piece of the main arena ends: at the top, or at two fence posts
// that close a page. 0: no piece begins there.
std::uint64_t Walker::piece_bytes(std::uint64_t start, std::uint64_t end, std::uint64_t top) {
  std::uint64_t at = start;
  while (at + kHeaderSize <= end && steps_++ < kMaxSteps) {
    std::uint64_t flags = 0;
    const std::uint64_t size = chunk_size(at, end, &flags);
    if (size == 0 || (at == start && !(flags & kPrevInUse))) return 0;
    if (size < kMinChunk) {
      const std::uint64_t behind = at + 2 * kHeaderSize;
      const auto second = window_.word(at + kHeaderSize + kSizeField);
      const bool fenced = at != start && second && *second == (kHeaderSize | kPrevInUse);
      return fenced && behind % kPageSize == 0 ? behind - start : 0;
    }
    at += size;
    if (at - size == top) return at - start;
  }
  return 0;
}

// Where brk could not grow, the main arena takes mappings of 1 MiB and more, and says so in its
// flags. Nothing lists them: they begin at a page, and their chunks lead to fence posts or the top.
void Walker::walk_elsewhere(std::uint64_t top) {
  if (!(word(in_.arenas.main.value) >> 32 & kNonContiguous)) return;
  std::vector<AddressRange> taken;
  for (const HeapPiece& piece : out_.pieces) {
    taken.push_back({{piece.start}, piece.end - piece.start});
  }
  PageWalk pages(in_.map, in_.resident, std::move(taken));
  while (const auto page = pages.next()) {
    const std::uint64_t bytes = piece_bytes(page->address, page->mapping_end, top);
    if (bytes == 0) continue;
    walk_run(page->address, page->address + bytes, top);
    out_.pieces.push_back({page->address, page->address + bytes, "main arena"});
    pages.skip(bytes);
  }
}

std::optional<Heap> Walker::heap_of(std::uint64_t address, std::uint64_t arena,
                                    std::uint64_t heap_size) {
  const std::uint64_t heap = address & ~(heap_size - 1);
  if (word(heap) != arena) return std::nullopt;
  const std::uint64_t size = word(heap + 16);
  const Mapping* mapping = find_mapping(in_.map, {heap});
  if (mapping == nullptr || size < kPageSize || size > heap_size || size % kPageSize != 0) {
    return std::nullopt;
  }
  return Heap{heap, heap + size, word(heap + 8)};
}

void Walker::walk_thread_arena(std::uint64_t arena, std::size_t number) {
  for (const std::uint64_t heap_size : kHeapSizes) {
    const std::uint64_t header = arena & (heap_size - 1);
    if (std::find(std::begin(kHeapHeaders), std::end(kHeapHeaders), header) ==
            std::end(kHeapHeaders) ||
        !heap_of(arena, arena, heap_size)) {
      continue;
    }
    const std::uint64_t top = top_of(arena);
    const std::string name = fmt::format("thread arena {}", number);
    std::unordered_set<std::uint64_t> seen;
    std::uint64_t at = top;
    for (std::size_t i = 0; i < kMaxHeaps && at != 0; ++i) {
      const auto heap = heap_of(at, arena, heap_size);
      if (!heap || !seen.insert(heap->address).second) break;
      const bool own = heap->address == arena - header;
      const std::uint64_t behind = own ? arena + layout_.size : heap->address + header;
      const std::uint64_t first = (behind + kAlignment - 1) & ~(kAlignment - 1);
      out_.overhead_bytes += first - heap->address;
      out_.pieces.push_back({heap->address, heap->end, name});
      walk_run(first, heap->end, top);
      at = heap->previous;
    }
    return;
  }
  ++out_.rejected;
}

void Walker::walk_mmapped() {
  MmappedScan scan{in_.memory, in_.map, in_.resident, layout_.mmapped_tail};
  for (const HeapPiece& piece : out_.pieces)
    scan.taken.push_back({{piece.start}, piece.end - piece.start});
  for (const MmappedChunk& found : find_mmapped_chunks(scan)) {
    out_.chunks.begin_run();
    out_.chunks.add(found.chunk, true);
    out_.chunks.end_run(found.end);
    out_.overhead_bytes += found.chunk - found.start;
    out_.mmapped_bytes += found.end - found.chunk;
    ++out_.mmapped_chunks;
    out_.pieces.push_back({found.start, found.end, "mmapped"});
  }
}

}  // namespace

HeapWalk walk_heaps(const WalkInput& input) { return Walker(input).run(); }

}  // namespace memspy::malloc
