#include "cpython/pools/arena_list.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <map>

#include <spdlog/fmt/fmt.h>

#include "cpython/pools/pool_header.h"
#include "cpython/remote_fields.h"
#include "cpython/runtime_walk.h"

namespace memspy::cpython {
namespace {

constexpr std::uint64_t kMaxArenas = 1U << 18;
constexpr std::uint64_t kMaxArenaBytes = 64ULL << 20;
constexpr std::uint64_t kFirstArenas = 16;  // the array begins so long, and doubles
constexpr std::uint64_t kMaxSegment = 64ULL << 20;
constexpr std::size_t kPiece = 1 << 16;
constexpr std::size_t kHeadersPerBatch = 1024;
constexpr std::uint64_t kMaxScannedPools = 1U << 20;
// A scan may take something else for a pool now and then, and arenas come and go.
constexpr std::size_t kFitPercent = 90;

// The pools of an arena that were seen: the arena begins at the first or before it.
struct Span {
  std::uint64_t first = UINT64_MAX, end = 0;
};
using Spans = std::map<std::uint32_t, Span>;

RemoteAddr round_up(RemoteAddr address, std::uint64_t unit) {
  return {(address.value + unit - 1) / unit * unit};
}

bool is_writable(const MemoryMap& map, RemoteAddr start, std::uint64_t size) {
  for (RemoteAddr at = start; at < start + size;) {
    const Mapping* mapping = find_mapping(map, at);
    if (mapping == nullptr || !mapping->writable) return false;
    at = mapping->end;
  }
  return size != 0;
}

bool may_hold_arenas(const Mapping& mapping) {
  return mapping.anonymous() && mapping.path.empty() && mapping.readable && mapping.writable &&
         !mapping.shared && !mapping.executable;
}

// Every pool in use of the mappings that may hold some, by the arena that it names.
Spans scan(const Layout& layout, const MemoryReader& resident, const MemoryMap& map) {
  const std::size_t head = layout.size(Struct::kPool);
  const std::uint64_t pool_bytes = layout.strategies.pool_bytes;
  std::vector<std::byte> bytes(kHeadersPerBatch * head);
  std::vector<ReadRequest> requests;
  Spans spans;
  const auto flush = [&] {
    resident.read_many(requests);
    for (const ReadRequest& request : requests) {
      const auto header = request.complete() ? decode_pool(layout, request.addr, request.out)
                                             : std::optional<PoolHeader>();
      if (!header || header->arena >= kMaxArenas) continue;
      Span& span = spans[header->arena];
      span.first = std::min(span.first, request.addr.value);
      span.end = std::max(span.end, request.addr.value + pool_bytes);
    }
    requests.clear();
  };
  std::uint64_t scanned = 0;
  for (const Mapping& mapping : map) {
    if (!may_hold_arenas(mapping)) continue;
    for (RemoteAddr pool = round_up(mapping.start, pool_bytes);
         pool.value + pool_bytes <= mapping.end.value && scanned < kMaxScannedPools;
         pool = pool + pool_bytes, ++scanned) {
      requests.push_back({pool, std::span(bytes).subspan(requests.size() * head, head)});
      if (requests.size() == kHeadersPerBatch) flush();
    }
  }
  flush();
  return spans;
}

class TableSearch {
 public:
  TableSearch(const Layout& layout, const MemoryReader& memory, const MemoryMap& map, Spans spans)
      : layout_(layout), memory_(memory), map_(map), spans_(std::move(spans)) {}

  // The variable that points to an array which fits nearly all spans; 0: none in this segment.
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
      const auto start = memspy::read<std::uint64_t>(
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
  Spans spans_;
};

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
  Spans spans = scan(layout, resident, map);
  if (spans.empty()) return false;
  saw_pools_ = true;
  highest_ = spans.rbegin()->first;
  const TableSearch look(layout, memory, map, std::move(spans));
  for (const ModuleImage* module : symbols.modules()) {
    for (const AddressRange& segment : module->writable_segments()) {
      if (segment.size > kMaxSegment) continue;
      variable_ = look.look_in(segment);
      if (variable_) return true;
    }
  }
  return false;
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
  const Layout& layout = interpreter_.layout();
  const Anchors& anchors = interpreter_.anchors();
  const auto word = [&](RemoteAddr at) { return memspy::read<std::uint64_t>(memory, at); };
  if (layout.strategies.obmalloc == ObmallocPlace::kStatics) {
    const RemoteAddr variable = variable_ ? variable_ : anchors.arenas;
    const auto first = variable ? word(variable) : Result<std::uint64_t>(0);
    if (!first.has_value()) return {};
    if (variable_) return {{{*first}, std::bit_ceil(highest_ + std::uint64_t{1}), true}};
    const auto count = memspy::read<std::uint32_t>(memory, anchors.max_arenas);
    return {{{*first}, count.value_or(0), false}};
  }
  std::vector<Table> tables;
  const auto interpreters = list_interpreters(memory, layout, anchors);
  if (!interpreters.has_value()) return {};
  for (const InterpreterRef& interpreter : *interpreters) {
    RemoteAddr state = interpreter.address + layout.offset(Field::kInterpreterObmalloc);
    if (layout.strategies.obmalloc == ObmallocPlace::kPointer) state = {word(state).value_or(0)};
    if (!is_plausible(state)) continue;
    const auto first = read_pointer(memory, layout, state, Field::kObmallocArenas);
    const auto count = read_field(memory, layout, state, Field::kObmallocMaxArenas);
    if (!first.has_value() || !count.has_value() || !*first) continue;
    const auto same = [&](const Table& table) { return table.first == *first; };
    // Interpreters may share one array.
    if (std::none_of(tables.begin(), tables.end(), same)) tables.push_back({*first, *count, false});
  }
  return tables;
}

std::vector<Arena> ArenaList::read(const MemoryReader& memory, const MemoryMap& map) const {
  std::vector<Arena> arenas;
  for (Table table : tables(memory)) {
    if (!is_plausible(table.first)) continue;
    const std::size_t before = arenas.size();
    if (table.count_is_guess) table.count = std::max(table.count, kFirstArenas);
    read_table(memory, map, table, arenas);
    // The array doubles when every entry is in use: then there is more behind the guess.
    while (table.count_is_guess && arenas.size() - before == table.count &&
           table.count < kMaxArenas) {
      arenas.resize(before);
      table.count *= 2;
      read_table(memory, map, table, arenas);
    }
  }
  cut(arenas, map);
  return arenas;
}

void ArenaList::read_table(const MemoryReader& memory, const MemoryMap& map, const Table& table,
                           std::vector<Arena>& out) const {
  const Layout& layout = interpreter_.layout();
  const std::size_t stride = layout.size(Struct::kArena);
  if (table.count == 0 || table.count > kMaxArenas) return;
  std::vector<std::byte> bytes(static_cast<std::size_t>(table.count) * stride);
  const std::size_t got = memory.read_some(table.first, bytes);
  for (std::size_t at = 0; at + stride <= got; at += stride) {
    const auto arena = decode_arena(layout, table.first + at, std::span(bytes).subspan(at, stride));
    if (arena && is_writable(map, arena->start, arena->bytes)) out.push_back(*arena);
  }
}

std::optional<Arena> decode_arena(const Layout& layout, RemoteAddr entry,
                                  std::span<const std::byte> bytes) {
  const auto get = [&](Field field) {
    const Slot slot = layout.slots[static_cast<std::size_t>(field)];
    return load(bytes, slot.offset, slot.width).value_or(0);
  };
  const std::uint64_t pool_bytes = layout.strategies.pool_bytes;
  Arena arena;
  arena.entry = entry;
  arena.start = {get(Field::kArenaAddress)};
  if (!arena.start || arena.start.value >= kUserAddressEnd) return std::nullopt;
  const std::uint64_t pools =
      std::min<std::uint64_t>(get(Field::kArenaTotalPools), kMaxArenaBytes / pool_bytes);
  arena.bytes =
      std::max<std::uint64_t>(layout.strategies.arena_bytes, std::bit_ceil(pools * pool_bytes));
  arena.first_pool = round_up(arena.start, pool_bytes);
  arena.uncut = {std::clamp(get(Field::kArenaPoolAddress), arena.first_pool.value,
                            arena.start.value + arena.bytes)};
  arena.pool_list = {get(Field::kArenaPoolList)};
  arena.next_in_use = get(Field::kArenaFreePools) > 0 && get(Field::kArenaPrevious) == 0;
  return arena;
}

}  // namespace memspy::cpython
