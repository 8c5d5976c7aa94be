#include "support/malloc_image.h"

#include <algorithm>

namespace memspy::testing {

using malloc::kBackField;
using malloc::kForwardField;
using malloc::kHeaderSize;
using malloc::kIsMmapped;
using malloc::kMinChunk;
using malloc::kPrevInUse;
using malloc::kSizeField;

MallocImage::MallocImage(std::size_t arena, std::size_t cache, bool mangled)
    : layout_(malloc::arena_layouts()[arena]),
      cache_(malloc::thread_cache_layouts()[cache]),
      mangled_(mangled),
      module_("/usr/lib/libc.so.6") {
  add_mapping(kText, 0x1000, "/usr/lib/libc.so.6", false, 7);
  add_mapping(kData, 0x2000, "/usr/lib/libc.so.6", true, 7);
  add_mapping(kHeap, kHeapBytes, "[heap]", true, 0);
  module_.writable = {{{kData}, 0x2000}};
  symbols_.list = {&module_};
  init_arena(kMainArena);
  write(kMainArena + layout_.next, kMainArena);
  heap_ = {.at = kHeap, .end = kHeap + kHeapBytes, .arena = kMainArena};
}

void MallocImage::add_mapping(std::uint64_t start, std::uint64_t bytes, const char* path,
                              bool writable, std::uint64_t inode) {
  memory_.add_segment({start}, bytes);
  Mapping mapping;
  mapping.start = {start};
  mapping.end = {start + bytes};
  mapping.readable = true;
  mapping.writable = writable;
  mapping.path = path;
  mapping.inode = inode;
  map_.insert(
      std::upper_bound(map_.begin(), map_.end(), mapping,
                       [](const Mapping& a, const Mapping& b) { return a.start < b.start; }),
      mapping);
}

std::uint64_t MallocImage::word(std::uint64_t address) const {
  return *read<std::uint64_t>(memory_, {address});
}

void MallocImage::init_arena(std::uint64_t arena) {
  for (unsigned bin = 0; bin < malloc::kBins; ++bin) {
    const std::uint64_t at = arena + layout_.bins + bin * 16;
    write(at, at - kForwardField);
    write(at + 8, at - kForwardField);
  }
  write(arena + layout_.top, arena + layout_.bins - kForwardField);
}

MallocImage::Run MallocImage::add_thread_arena(std::uint64_t number, std::uint64_t bytes) {
  constexpr std::uint64_t kHeapMax = 64 << 20, kHeapHeader = 48;
  const std::uint64_t heap = kThreadHeaps + number * kHeapMax;
  add_mapping(heap, bytes, "", true, 0);
  const std::uint64_t arena = heap + kHeapHeader;
  write(heap, arena);
  write(heap + 16, bytes);
  init_arena(arena);
  write(arena + layout_.next, word(kMainArena + layout_.next));
  write(kMainArena + layout_.next, arena);
  const std::uint64_t first = (arena + layout_.size + 15) / 16 * 16;
  return {.at = first, .end = heap + bytes, .arena = arena};
}

RemoteAddr MallocImage::add_chunk(Run& run, std::uint64_t bytes, bool in_use) {
  const std::uint64_t chunk = run.at;
  if (!run.previous_used) write(chunk, run.previous_bytes);
  write(chunk + kSizeField, bytes | (run.previous_used ? kPrevInUse : 0));
  if (!in_use) {  // into the first bin, in front
    const std::uint64_t bin = run.arena + layout_.bins - kForwardField;
    const std::uint64_t next = word(bin + kForwardField);
    write(chunk + kForwardField, next);
    write(chunk + kBackField, bin);
    write(bin + kForwardField, chunk);
    write(next + kBackField, chunk);
  }
  run.at += bytes;
  run.previous_used = in_use;
  run.previous_bytes = bytes;
  return {chunk + kHeaderSize};
}

void MallocImage::end_with_top(Run& run) {
  write(run.arena + layout_.top, run.at);
  write(run.at + kSizeField, (run.end - run.at) | (run.previous_used ? kPrevInUse : 0));
  run.at = run.end;
}

void MallocImage::end_with_fence(Run& run) {
  for (int i = 0; i < 2; ++i) {
    write(run.at + kSizeField, kHeaderSize | (i == 1 || run.previous_used ? kPrevInUse : 0));
    run.at += kHeaderSize;
  }
}

RemoteAddr MallocImage::add_mmapped(std::uint64_t address, std::uint64_t bytes,
                                    std::uint64_t offset) {
  add_mapping(address, bytes, "", true, 0);
  write(address + kSizeField, (bytes - layout_.mmapped_tail) | kIsMmapped);
  if (offset != 0) {
    write(address + offset, offset);
    write(address + offset + kSizeField, (bytes - offset - layout_.mmapped_tail) | kIsMmapped);
  }
  return {address + offset + kHeaderSize};
}

void MallocImage::add_cache(Run& run, const std::vector<RemoteAddr>& freed) {
  const std::uint64_t cache = add_chunk(run, cache_.chunk, true).value;
  const auto bins = static_cast<unsigned>(cache_.small_bins + cache_.large_bins);
  std::vector<std::uint16_t> counts(bins, cache_.counts_used ? 0 : 16);
  for (const RemoteAddr user : freed) {
    const std::uint64_t bytes = word(user.value - kSizeField) & ~malloc::kSizeBits;
    const auto bin = static_cast<unsigned>((bytes - kMinChunk) / malloc::kAlignment);
    const std::uint64_t head = cache + cache_.entries + std::uint64_t{bin} * 8;
    write(user.value, link(user.value, word(head)));
    write(head, user.value);
    counts[bin] = static_cast<std::uint16_t>(counts[bin] + (cache_.counts_used ? 1 : -1));
  }
  for (unsigned bin = 0; bin < bins; ++bin) {
    const auto bytes = std::as_bytes(std::span(&counts[bin], 1)).first(cache_.count_bytes);
    memory_.write_bytes({cache + std::uint64_t{bin} * cache_.count_bytes}, bytes);
  }
}

void MallocImage::push_fast(std::uint64_t arena, RemoteAddr freed) {
  const std::uint64_t chunk = freed.value - kHeaderSize;
  const std::uint64_t bytes = word(chunk + kSizeField) & ~malloc::kSizeBits;
  const std::uint64_t head =
      arena + layout_.fast_bins + (bytes - kMinChunk) / malloc::kAlignment * 8;
  write(freed.value, link(freed.value, word(head)));
  write(head, chunk);
}

}  // namespace memspy::testing
