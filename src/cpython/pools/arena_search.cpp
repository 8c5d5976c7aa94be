#include "cpython/pools/arena_search.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include "cpython/remote_fields.h"

namespace memspy::cpython {
namespace {

constexpr std::uint64_t kMaxSegment = 64ULL << 20;  // of one module's data
constexpr std::size_t kPiece = 1 << 16;
// A scan may take something else for a pool now and then, and arenas come and go.
constexpr std::size_t kFitPercent = 90;

class VariableSearch {
 public:
  VariableSearch(const Layout& layout, const MemoryReader& memory, const MemoryMap& map,
                 const ArenaSpans& spans)
      : layout_(layout), memory_(memory), map_(map), spans_(spans) {}

  RemoteAddr look_in(const AddressRange& segment) const {
    std::vector<std::byte> piece;
    for (std::uint64_t done = 0; done < segment.size; done += kPiece) {
      piece.resize(std::min<std::uint64_t>(kPiece, segment.size - done));
      const std::size_t got = memory_.read_some(segment.start + done, piece);
      for (std::size_t at = 0; at + 8 <= got; at += 8) {
        RemoteAddr word;
        std::memcpy(&word.value, piece.data() + at, sizeof(word.value));
        if (may_be_table(word) && fits(word)) return segment.start + done + at;
      }
    }
    return {};
  }

 private:
  // The array comes from malloc: it lies in no file's mapping.
  bool may_be_table(RemoteAddr word) const {
    if (!is_plausible(word)) return false;
    const Mapping* mapping = find_mapping(map_, word);
    return mapping != nullptr && mapping->writable && mapping->inode == 0;
  }

  bool fits(RemoteAddr table) const {
    const std::uint64_t stride = layout_.size(Struct::kArena);
    const std::size_t allowed = spans_.size() * (100 - kFitPercent) / 100;
    std::size_t wrong = 0;
    for (const auto& [index, span] : spans_) {
      const auto start = read<std::uint64_t>(
          memory_, table + index * stride + layout_.offset(Field::kArenaAddress));
      const bool fit = start.has_value() && *start != 0 && *start <= span.first &&
                       span.end - *start <= layout_.strategies.arena_bytes;
      if (!fit && ++wrong > allowed) return false;
    }
    return true;
  }

  const Layout& layout_;
  const MemoryReader& memory_;
  const MemoryMap& map_;
  const ArenaSpans& spans_;
};

}  // namespace

void ArenaSpan::widen(RemoteAddr pool, std::uint64_t pool_bytes) {
  first = std::min(first, pool.value);
  end = std::max(end, pool.value + pool_bytes);
}

RemoteAddr find_arena_variable(const Layout& layout, const MemoryReader& memory,
                               const MemoryMap& map, const SymbolSource& symbols,
                               const ArenaSpans& spans) {
  if (spans.empty()) return {};
  const VariableSearch search(layout, memory, map, spans);
  for (const ModuleImage* module : symbols.modules()) {
    for (const AddressRange& segment : module->writable_segments()) {
      if (segment.size > kMaxSegment) continue;
      if (const RemoteAddr variable = search.look_in(segment)) return variable;
    }
  }
  return {};
}

}  // namespace memspy::cpython
