#include "cpython/pools/arena_list.h"

#include <algorithm>
#include <bit>

#include "cpython/pools/arena_search.h"
#include "cpython/pools/pool_batch.h"
#include "cpython/remote_fields.h"

namespace memspy::cpython {
namespace {

constexpr std::uint64_t kMaxArenas = 1U << 18;
constexpr std::uint64_t kFirstArenas = 16;  // the array begins so long, and doubles
constexpr std::uint64_t kMaxScannedPools = 1U << 20;

// Every pool in use of the mappings that may hold some, by the arena that it names.
ArenaSpans scan(const Layout& layout, const MemoryReader& resident, const MemoryMap& map) {
  const std::uint64_t pool_bytes = layout.strategies.pool_bytes;
  PoolBatch batch(layout);
  ArenaSpans spans;
  const auto see = [&](RemoteAddr pool, const PoolHeader& header) {
    if (header.arena < kMaxArenas) spans[header.arena].widen(pool, pool_bytes);
  };
  std::uint64_t scanned = 0;
  for (const Mapping& mapping : map) {
    if (!may_hold_arenas(mapping)) continue;
    for (RemoteAddr pool = first_pool_at(mapping.start, pool_bytes);
         pool.value + pool_bytes <= mapping.end.value && scanned < kMaxScannedPools;
         pool = pool + pool_bytes, ++scanned) {
      if (batch.add(pool)) (void)batch.flush(resident, see);
    }
  }
  (void)batch.flush(resident, see);
  return spans;
}

// There cannot be more arenas than memory, whatever an array says: one that names them twice is
// cut.
void cut(std::vector<Arena>& arenas, const MemoryMap& map) {
  std::uint64_t left = 0;
  for (const Mapping& mapping : map) left += mapping.writable ? mapping.size() : 0;
  for (std::size_t i = 0; i < arenas.size(); ++i) {
    if (arenas[i].bytes > left) return arenas.resize(i);
    left -= arenas[i].bytes;
  }
}

Error not_in_use() {
  Error error = make_error(Errc::kUnsupported, "pymalloc is not in use in this process");
  error.why = "it has no arenas: PYTHONMALLOC=malloc or mimalloc, or nothing was allocated yet";
  error.hint = "--mode growth does not need it";
  return error;
}

}  // namespace

bool ArenaList::search(const MemoryReader& memory, const MemoryReader& resident,
                       const MemoryMap& map, const SymbolSource& symbols) {
  const Layout& layout = interpreter_.layout();
  const ArenaSpans spans = scan(layout, resident, map);
  if (spans.empty()) return false;
  saw_pools_ = true;
  highest_ = spans.rbegin()->first;
  variable_ = find_arena_variable(layout, memory, map, symbols, spans);
  return static_cast<bool>(variable_);
}

Result<ArenaList> ArenaList::find(const Interpreter& interpreter, const MemoryReader& memory,
                                  const MemoryReader& resident, const MemoryMap& map,
                                  const SymbolSource& symbols) {
  ArenaList list(interpreter);
  if (!list.read(memory, map).empty()) return list;
  if (interpreter.layout().strategies.obmalloc != ObmallocPlace::kStatics) return not_in_use();
  if (!list.search(memory, resident, map, symbols)) {
    if (!list.saw_pools_) return not_in_use();
    return make_error(Errc::kCorrupt, "pymalloc's array of arenas was not found");
  }
  return list;
}

std::vector<ArenaList::Table> ArenaList::tables(const MemoryReader& memory) const {
  if (variable_) {
    const auto first = memspy::read<std::uint64_t>(memory, variable_);
    if (!first.has_value()) return {};
    return {{{{*first}, std::bit_ceil(highest_ + std::uint64_t{1})}, true}};
  }
  const Layout& layout = interpreter_.layout();
  const Anchors& anchors = interpreter_.anchors();
  if (layout.strategies.obmalloc == ObmallocPlace::kStatics) {  // the one of all
    const auto table = arena_table(memory, layout, anchors, {});
    return table.has_value() ? std::vector<Table>{{*table, false}} : std::vector<Table>();
  }
  const auto known = arena_tables(memory, layout, anchors);
  if (!known.has_value()) return {};
  std::vector<Table> tables;
  for (const ArenaTable& table : *known) tables.push_back({table, false});
  return tables;
}

std::vector<Arena> ArenaList::read(const MemoryReader& memory, const MemoryMap& map) const {
  std::vector<Arena> arenas;
  const auto named_by = [&](const Table& table) {
    const bool possible = table.count != 0 && table.count <= kMaxArenas;
    return possible ? read_arenas(memory, map, interpreter_.layout(), table).arenas
                    : std::vector<Arena>();
  };
  for (Table table : tables(memory)) {
    if (!is_plausible(table.first)) continue;
    if (table.count_is_guess) table.count = std::max(table.count, kFirstArenas);
    auto named = named_by(table);
    // The array doubles when every entry is in use: then there is more behind the guess.
    while (table.count_is_guess && named.size() == table.count && table.count < kMaxArenas) {
      table.count *= 2;
      named = named_by(table);
    }
    arenas.insert(arenas.end(), named.begin(), named.end());
  }
  cut(arenas, map);
  return arenas;
}

}  // namespace memspy::cpython
