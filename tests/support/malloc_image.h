// The memory of a process whose malloc is glibc's, of any layout: a main arena in a library's data,
// a brk heap, thread arenas and mmapped chunks, written chunk by chunk.
#pragma once

#include <cstdint>
#include <vector>

#include "malloc/glibc_layout.h"
#include "memspy/memory_map.h"
#include "support/fake_memory.h"
#include "support/py_process.h"

namespace memspy::testing {

class MallocImage {
 public:
  // `arena` and `cache` index malloc::arena_layouts() and malloc::thread_cache_layouts().
  MallocImage(std::size_t arena, std::size_t cache, bool mangled);

  // A run of chunks, one behind the other, of one arena.
  struct Run {
    std::uint64_t at = 0, end = 0, arena = 0;
    bool previous_used = true;
    std::uint64_t previous_bytes = 0;
  };
  Run& heap() { return heap_; }
  // A further arena with a heap of its own; `number` tells its address.
  Run add_thread_arena(std::uint64_t number, std::uint64_t bytes = kThreadHeapBytes);
  // Bytes include the header. The address that malloc() would return.
  RemoteAddr add_chunk(Run& run, std::uint64_t bytes, bool in_use);
  void end_with_top(Run& run);
  void end_with_fence(Run& run);
  // In a mapping of its own, `offset` behind its start.
  RemoteAddr add_mmapped(std::uint64_t address, std::uint64_t bytes, std::uint64_t offset = 0);
  // A thread cache in the run, with these (in use by their neighbours) in its lists.
  void add_cache(Run& run, const std::vector<RemoteAddr>& freed);
  void push_fast(std::uint64_t arena, RemoteAddr freed);

  void add_mapping(std::uint64_t start, std::uint64_t bytes, const char* path, bool writable,
                   std::uint64_t inode);

  FakeMemory& memory() { return memory_; }
  MemoryMap& map() { return map_; }
  FakeModule& module() { return module_; }
  const FakeSymbols& symbols() const { return symbols_; }
  RemoteAddr main_arena() const { return {kMainArena}; }
  const malloc::ArenaLayout& layout() const { return layout_; }

  static constexpr std::uint64_t kData = 0x7f0000100000, kMainArena = kData + 0x440;
  static constexpr std::uint64_t kText = 0x7f0000000000;
  static constexpr std::uint64_t kHeap = 0x555500000000, kHeapBytes = 1 << 20;
  static constexpr std::uint64_t kThreadHeaps = 0x7e0000000000, kThreadHeapBytes = 0x40000;

 private:
  void init_arena(std::uint64_t arena);
  void write(std::uint64_t address, std::uint64_t word) {
    memory_.write(RemoteAddr{address}, word);
  }
  std::uint64_t word(std::uint64_t address) const;
  std::uint64_t link(std::uint64_t at, std::uint64_t to) const {
    return mangled_ ? malloc::reveal(at, to) : to;
  }

  const malloc::ArenaLayout& layout_;
  const malloc::ThreadCacheLayout& cache_;
  bool mangled_;
  FakeMemory memory_;
  MemoryMap map_;
  FakeModule module_;
  FakeSymbols symbols_;
  Run heap_;
};

}  // namespace memspy::testing
