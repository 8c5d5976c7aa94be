#include "cpython/pools/arena.h"

#include <algorithm>
#include <bit>

#include "cpython/remote_fields.h"
#include "cpython/runtime_walk.h"

namespace memspy::cpython {
namespace {

constexpr std::uint64_t kMaxArenaBytes = 64ULL << 20;

// The range may span mappings: adjacent ones differ where a part was advised or protected.
bool is_writable(const MemoryMap& map, RemoteAddr start, std::uint64_t size) {
  const RemoteAddr end = start + size;
  for (RemoteAddr at = start; at < end;) {
    const Mapping* mapping = find_mapping(map, at);
    if (mapping == nullptr || !mapping->writable) return false;
    at = mapping->end;
  }
  return end > start;
}

std::uint64_t field_of(const Layout& layout, std::span<const std::byte> bytes, Field field) {
  const Slot slot = layout.slots[static_cast<std::size_t>(field)];
  return load(bytes, slot.offset, slot.width).value_or(0);
}

}  // namespace

std::optional<Arena> decode_arena(const Layout& layout, RemoteAddr entry,
                                  std::span<const std::byte> bytes) {
  const auto get = [&](Field field) { return field_of(layout, bytes, field); };
  const std::uint64_t pool_bytes = layout.strategies.pool_bytes;
  Arena arena;
  arena.entry = entry;
  arena.start = {get(Field::kArenaAddress)};
  if (!arena.start || arena.start.value >= kUserAddressEnd) return std::nullopt;
  // As a rule the usual size; a build with huge pages has 2 MiB, which shows in the number of
  // pools.
  const std::uint64_t pools =
      std::min<std::uint64_t>(get(Field::kArenaTotalPools), kMaxArenaBytes / pool_bytes);
  arena.bytes =
      std::max<std::uint64_t>(layout.strategies.arena_bytes, std::bit_ceil(pools * pool_bytes));
  arena.first_pool = first_pool_at(arena.start, pool_bytes);
  arena.uncut = {std::clamp(get(Field::kArenaPoolAddress), arena.first_pool.value,
                            arena.start.value + arena.bytes)};
  arena.pool_list = {get(Field::kArenaPoolList)};
  arena.next_in_use = get(Field::kArenaFreePools) > 0 && get(Field::kArenaPrevious) == 0;
  return arena;
}

Result<ArenaTable> arena_table(const MemoryReader& memory, const Layout& layout,
                               const Anchors& anchors, RemoteAddr interpreter) {
  if (layout.strategies.obmalloc == ObmallocPlace::kStatics) {
    if (!anchors.arenas || !anchors.max_arenas) return ArenaTable{};
    MEMSPY_TRY(first, read<std::uint64_t>(memory, anchors.arenas));
    MEMSPY_TRY(count, read<std::uint32_t>(memory, anchors.max_arenas));
    return ArenaTable{{first}, count};
  }
  RemoteAddr state = interpreter + layout.offset(Field::kInterpreterObmalloc);
  if (layout.strategies.obmalloc == ObmallocPlace::kPointer) {
    MEMSPY_TRY(pointer, read_pointer(memory, layout, interpreter, Field::kInterpreterObmalloc));
    if (!pointer) return ArenaTable{};
    state = pointer;
  }
  MEMSPY_TRY(first, read_pointer(memory, layout, state, Field::kObmallocArenas));
  MEMSPY_TRY(count, read_field(memory, layout, state, Field::kObmallocMaxArenas));
  return ArenaTable{first, count};
}

Result<std::vector<ArenaTable>> arena_tables(const MemoryReader& memory, const Layout& layout,
                                             const Anchors& anchors) {
  MEMSPY_TRY(interpreters, list_interpreters(memory, layout, anchors));
  std::vector<ArenaTable> tables;
  for (const InterpreterRef& interpreter : interpreters) {
    const auto table = arena_table(memory, layout, anchors, interpreter.address);
    if (!table || !table->first) continue;
    // Interpreters may share one array.
    const auto same = [&](const ArenaTable& known) { return known.first == table->first; };
    if (std::none_of(tables.begin(), tables.end(), same)) tables.push_back(*table);
  }
  return tables;
}

ArenasRead read_arenas(const MemoryReader& memory, const MemoryMap& map, const Layout& layout,
                       const ArenaTable& table) {
  const std::size_t stride = layout.size(Struct::kArena);
  std::vector<std::byte> bytes(static_cast<std::size_t>(table.count) * stride);
  const std::size_t got = memory.read_some(table.first, bytes);
  ArenasRead result;
  result.whole = got == bytes.size();
  for (std::size_t at = 0; at + stride <= got; at += stride) {
    const auto entry = std::span(bytes).subspan(at, stride);
    if (field_of(layout, entry, Field::kArenaAddress) == 0) continue;
    const auto arena = decode_arena(layout, table.first + at, entry);
    if (arena && is_writable(map, arena->start, arena->bytes)) {
      result.arenas.push_back(*arena);
    } else {
      ++result.left_out;
    }
  }
  return result;
}

bool may_hold_arenas(const Mapping& mapping) {
  return mapping.anonymous() && mapping.path.empty() && mapping.readable && mapping.writable &&
         !mapping.shared && !mapping.executable;
}

}  // namespace memspy::cpython
