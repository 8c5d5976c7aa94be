#include "malloc/chunk_store.h"

#include <algorithm>

namespace memspy::malloc {
namespace {

constexpr unsigned kPageShift = 12;
constexpr std::size_t kSmallRun = 16;  // chunks; a run that needs no table of pages

}  // namespace

void ChunkStore::begin_run() { runs_.push_back({0, 0, words_.size(), words_.size(), 0}); }

void ChunkStore::end_run(std::uint64_t end) {
  Run& run = runs_.back();
  run.last = words_.size();
  if (run.first == run.last) {
    runs_.pop_back();
    return;
  }
  run.start = chunk(run.first);
  run.end = end;
  words_.push_back(end);
}

void ChunkStore::index() {
  std::sort(runs_.begin(), runs_.end(),
            [](const Run& a, const Run& b) { return a.start < b.start; });
  for (Run& run : runs_) {
    if (run.last - run.first <= kSmallRun) continue;
    run.pages = pages_.size();
    const std::uint64_t first_page = run.start >> kPageShift;
    const std::uint64_t last_page = (run.end - 1) >> kPageShift;
    std::size_t at = run.first;
    for (std::uint64_t page = first_page; page <= last_page + 1; ++page) {
      while (at < run.last && words_[at] >> kPageShift < page) ++at;
      pages_.push_back(static_cast<std::uint32_t>(at - run.first));
    }
  }
  words_.shrink_to_fit();
}

const ChunkStore::Run* ChunkStore::run_of(std::uint64_t address) const {
  auto it = std::upper_bound(runs_.begin(), runs_.end(), address,
                             [](std::uint64_t a, const Run& run) { return a < run.start; });
  if (it == runs_.begin()) return nullptr;
  --it;
  return address < it->end ? &*it : nullptr;
}

// The first chunk of the run at or behind `address`.
std::size_t ChunkStore::lower_bound(const Run& run, std::uint64_t address) const {
  std::size_t low = run.first;
  std::size_t high = run.last;
  if (run.last - run.first > kSmallRun) {
    const std::size_t page = (address >> kPageShift) - (run.start >> kPageShift);
    low = run.first + pages_[run.pages + page];
    high = run.first + pages_[run.pages + page + 1];
  }
  while (low < high) {
    const std::size_t middle = low + (high - low) / 2;
    if (chunk(middle) < address) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low;
}

std::optional<std::size_t> ChunkStore::find(std::uint64_t address) const {
  const Run* run = run_of(address);
  if (run == nullptr) return std::nullopt;
  const std::size_t at = lower_bound(*run, address);
  if (at == run->last || chunk(at) != address) return std::nullopt;
  return at;
}

std::optional<std::size_t> ChunkStore::find_holder(std::uint64_t address) const {
  const Run* run = run_of(address);
  if (run == nullptr) return std::nullopt;
  const std::size_t at = lower_bound(*run, address);
  if (at < run->last && chunk(at) == address) return at;
  if (at == run->first) return std::nullopt;
  return at - 1;
}

}  // namespace memspy::malloc
