#include "cpython/heap/arena_table.h"

#include <algorithm>
#include <map>

#include "cpython/heap/pool_map.h"

namespace memspy::cpython {
namespace {

constexpr std::uint64_t kMaxSegment = 64ULL << 20;  // of one module's data
constexpr std::size_t kPiece = 1 << 16;
constexpr std::uint32_t kMaxArenas = 1U << 20;
// A scan may take something else for a pool now and then, and arenas come and go.
constexpr std::size_t kFitPercent = 90;

// The pools of an arena that were seen: the arena begins at the first or before it.
struct Span {
  std::uint64_t first = UINT64_MAX, end = 0;
};
using Spans = std::map<std::uint32_t, Span>;

class TableSearch {
 public:
  TableSearch(const HeapInput& input, HeapBytes& bytes, Spans spans)
      : layout_(input.interpreter.layout()), bytes_(bytes), spans_(std::move(spans)) {}

  std::optional<ArenaTable> look_in(const AddressRange& segment) {
    for (std::uint64_t done = 0; done < segment.size; done += kPiece) {
      const std::size_t want = std::min<std::uint64_t>(kPiece, segment.size - done);
      const auto piece = bytes_.bytes(segment.start + done, want);
      const std::vector<std::byte> copy(piece.begin(), piece.end());
      for (std::size_t at = 0; at + 8 <= copy.size(); at += 8) {
        std::uint64_t word = 0;
        std::memcpy(&word, copy.data() + at, sizeof(word));
        if (word != 0 && word % 8 == 0 && fits({word})) {
          return ArenaTable{{word}, spans_.rbegin()->first + std::uint64_t{1}};
        }
      }
    }
    return std::nullopt;
  }

 private:
  bool entry_fits(RemoteAddr table, std::uint32_t index, const Span& span) {
    const RemoteAddr entry = table + std::uint64_t{index} * layout_.size(Struct::kArena);
    const std::uint64_t start = bytes_.word(entry + layout_.offset(Field::kArenaAddress));
    return start != 0 && start <= span.first && span.end - start <= layout_.strategies.arena_bytes;
  }

  bool fits(RemoteAddr table) {
    const std::size_t allowed = spans_.size() * (100 - kFitPercent) / 100;
    std::size_t wrong = 0;
    for (const auto& [index, span] : spans_) {
      if (!entry_fits(table, index, span) && ++wrong > allowed) return false;
    }
    return true;
  }

  const Layout& layout_;
  HeapBytes& bytes_;
  Spans spans_;
};

}  // namespace

std::optional<ArenaTable> find_arena_table(const HeapInput& input, HeapBytes& bytes,
                                           const std::vector<Pool>& pools) {
  Spans spans;
  const std::uint64_t pool_bytes = input.interpreter.layout().strategies.pool_bytes;
  for (const Pool& pool : pools) {
    if (pool.arena >= kMaxArenas) continue;
    Span& span = spans[pool.arena];
    span.first = std::min(span.first, pool.address.value);
    span.end = std::max(span.end, pool.address.value + pool_bytes);
  }
  if (spans.empty()) return std::nullopt;
  TableSearch search(input, bytes, std::move(spans));
  for (const ModuleImage* module : input.symbols.modules()) {
    for (const AddressRange& segment : module->writable_segments()) {
      if (segment.size > kMaxSegment) continue;
      if (auto table = search.look_in(segment)) return table;
    }
  }
  return std::nullopt;
}

}  // namespace memspy::cpython
