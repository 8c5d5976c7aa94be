#include "malloc/arena_search.h"

#include <algorithm>
#include <unordered_set>

#include <spdlog/fmt/fmt.h>

#include "base/path.h"
#include "malloc/window.h"

namespace memspy::malloc {
namespace {

constexpr std::size_t kMaxArenas = 65536;
constexpr std::uint64_t kMaxSegment = 64ULL << 20;  // of one module; libc's .data is 6 KiB
constexpr unsigned kMaxTornBins = 4;  // a list that is being changed; beyond, it is no arena

std::uint64_t load(std::span<const std::byte> bytes, std::size_t offset) {
  std::uint64_t value = 0;
  std::memcpy(&value, bytes.data() + offset, sizeof(value));
  return value;
}

// Where malloc's chunks may lie.
bool holds_chunks(const MemoryMap& map, std::uint64_t address) {
  if (address % kAlignment != 0) return false;
  const Mapping* mapping = find_mapping(map, {address});
  return mapping != nullptr && mapping->writable && mapping->anonymous();
}

// The bins of the arena whose bytes these are: consistent, and some of them empty or used at all.
bool bins_fit(const MemoryReader& memory, const MemoryMap& map, std::uint64_t at,
              std::span<const std::byte> bytes, const ArenaLayout& layout) {
  unsigned torn = 0;
  Window window(memory, 64);
  for (unsigned bin = 0; bin < kBins; ++bin) {
    const std::uint64_t offset = layout.bins + std::uint64_t{bin} * 16;
    const std::uint64_t self = at + offset - kForwardField;  // the bin, as if it were a chunk
    const std::uint64_t forward = load(bytes, offset);
    const std::uint64_t back = load(bytes, offset + 8);
    if (forward == self && back == self) continue;
    bool fits =
        forward != self && back != self && holds_chunks(map, forward) && holds_chunks(map, back);
    if (fits) {
      const auto returns = window.word(forward + kBackField);
      fits = returns && *returns == self;
    }
    if (!fits && ++torn > kMaxTornBins) return false;
  }
  return true;
}

bool arena_at(const MemoryReader& memory, const MemoryMap& map, std::uint64_t at,
              std::span<const std::byte> bytes, const ArenaLayout& layout) {
  // Cheap questions first: this is asked of every word of .data. An arena that was never used has
  // its top in its first bin.
  const std::uint64_t top = load(bytes, layout.top);
  const bool unused = top == at + layout.bins - kForwardField;
  if (!unused && top % kAlignment != 0) return false;
  if (load(bytes, layout.next) == 0) return false;
  const std::uint64_t last = layout.bins + std::uint64_t{kBins - 1} * 16;
  if (load(bytes, layout.bins + 8) == 0 || load(bytes, last) == 0 || load(bytes, last + 8) == 0) {
    return false;
  }
  // The size of the top is not asked: a thread may stand between moving the top and writing it.
  return (unused || holds_chunks(map, top)) && bins_fit(memory, map, at, bytes, layout);
}

std::optional<std::vector<RemoteAddr>> circle(const MemoryReader& memory, const MemoryMap& map,
                                              std::uint64_t main, const ArenaLayout& layout) {
  std::vector<RemoteAddr> others;
  std::unordered_set<std::uint64_t> seen{main};
  std::uint64_t at = main;
  for (;;) {
    const auto next = read<std::uint64_t>(memory, {at + layout.next});
    if (!next) return std::nullopt;
    if (*next == main) return others;
    if (!seen.insert(*next).second || others.size() >= kMaxArenas ||
        !is_arena(memory, map, {*next}, layout)) {
      return std::nullopt;
    }
    others.push_back({*next});
    at = *next;
  }
}

std::optional<FoundArenas> arenas_at(const MemoryReader& memory, const MemoryMap& map,
                                     std::uint64_t at, std::span<const std::byte> bytes,
                                     const ArenaLayout& layout) {
  if (bytes.size() < layout.size || !arena_at(memory, map, at, bytes, layout)) return std::nullopt;
  auto others = circle(memory, map, at, layout);
  if (!others) return std::nullopt;
  return FoundArenas{&layout, {at}, std::move(*others), {}, {}};
}

std::optional<FoundArenas> by_symbol(const MemoryReader& memory, const MemoryMap& map,
                                     const ModuleImage& module) {
  const auto symbol = module.find_symbol("main_arena");
  if (!symbol) return std::nullopt;
  for (const ArenaLayout& layout : arena_layouts()) {
    std::vector<std::byte> bytes(layout.size);
    if (!read_exact(memory, *symbol, bytes)) continue;
    if (auto found = arenas_at(memory, map, symbol->value, bytes, layout)) {
      found->how = "symbol main_arena";
      return found;
    }
  }
  return std::nullopt;
}

std::optional<FoundArenas> by_structure(const MemoryReader& memory, const MemoryMap& map,
                                        const ModuleImage& module) {
  for (const AddressRange& segment : module.writable_segments()) {
    if (segment.size > kMaxSegment) continue;
    std::vector<std::byte> bytes(segment.size);
    bytes.resize(memory.read_some(segment.start, bytes));
    for (std::size_t offset = 0; offset + 8 <= bytes.size(); offset += 8) {
      const auto rest = std::span<const std::byte>(bytes).subspan(offset);
      for (const ArenaLayout& layout : arena_layouts()) {
        if (auto found = arenas_at(memory, map, segment.start.value + offset, rest, layout)) {
          found->how = "its bins point to themselves";
          return found;
        }
      }
    }
  }
  return std::nullopt;
}

bool is_libc(const ModuleImage& module) {
  const auto name = base_name(module.path());
  return name.starts_with("libc.so") || name.starts_with("libc-2.");
}

}  // namespace

bool is_arena(const MemoryReader& memory, const MemoryMap& map, RemoteAddr at,
              const ArenaLayout& layout) {
  std::vector<std::byte> bytes(layout.size);
  return at.value % 8 == 0 && read_exact(memory, at, bytes) &&
         arena_at(memory, map, at.value, bytes, layout);
}

std::optional<FoundArenas> find_arenas(const MemoryReader& memory, const MemoryMap& map,
                                       const SymbolSource& symbols) {
  // libc by its name; without one the executable, which may be a static one.
  std::vector<const ModuleImage*> modules;
  for (const ModuleImage* module : symbols.modules()) {
    if (is_libc(*module)) modules.push_back(module);
  }
  if (modules.empty() && !symbols.modules().empty()) modules.push_back(symbols.modules().front());
  for (const ModuleImage* module : modules) {
    auto found = by_symbol(memory, map, *module);
    if (!found) found = by_structure(memory, map, *module);
    if (!found) continue;
    found->file = module->path();
    return found;
  }
  return std::nullopt;
}

}  // namespace memspy::malloc
