// Every chunk that a walk found: eight bytes each, the size of one being the distance to the next.
// Filled by one thread; lookups afterwards may come from any number of threads.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

namespace memspy::malloc {

class ChunkStore {
 public:
  // Chunks of one piece of memory, one behind the other: begin, add…, end.
  void begin_run();
  void add(std::uint64_t chunk, bool in_use) { words_.push_back(chunk | (in_use ? 1U : 0U)); }
  void end_run(std::uint64_t end);
  // Once, behind the last run: makes lookups possible.
  void index();

  // Index of the chunk that begins at `chunk`, or of the one that holds `address`.
  std::optional<std::size_t> find(std::uint64_t chunk) const;
  std::optional<std::size_t> find_holder(std::uint64_t address) const;

  std::uint64_t chunk(std::size_t index) const { return words_[index] & ~std::uint64_t{15}; }
  std::uint64_t bytes(std::size_t index) const { return chunk(index + 1) - chunk(index); }
  bool in_use(std::size_t index) const { return (words_[index] & 1) != 0; }
  void set_free(std::size_t index) { words_[index] &= ~std::uint64_t{1}; }
  // Chunks, and the ends of runs among them.
  std::uint64_t count() const { return words_.size() - runs_.size(); }
  // Indexes of all chunks, by address.
  template <typename Visit>
  void for_each(Visit visit) const {
    for (const Run& run : runs_) {
      for (std::size_t i = run.first; i < run.last; ++i) visit(i);
    }
  }

 private:
  struct Run {
    std::uint64_t start, end;
    std::size_t first, last;  // words_[last] is the end of the run
    std::size_t pages;        // where its part of pages_ begins
  };
  std::size_t lower_bound(const Run& run, std::uint64_t address) const;
  const Run* run_of(std::uint64_t address) const;

  std::vector<std::uint64_t> words_;  // chunk | in-use bit; the last of a run is its end
  std::vector<Run> runs_;             // by address, once indexed
  // Of each page of a run the first chunk that begins in it or later, counted from the run's first:
  // a lookup then looks at the chunks of one page only.
  std::vector<std::uint32_t> pages_;
};

}  // namespace memspy::malloc
