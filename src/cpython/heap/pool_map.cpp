#include "cpython/heap/pool_map.h"

#include <algorithm>
#include <bit>
#include <map>
#include <unordered_set>

#include "cpython/heap/arena_table.h"
#include "cpython/runtime_walk.h"

namespace memspy::cpython {
namespace {

constexpr std::uint64_t kMaxArenas = 1U << 20;  // 1 TiB of 1 MiB arenas
constexpr std::uint64_t kMaxArenaBytes = 64ULL << 20;
constexpr std::uint64_t kMaxBlockBytes = 512;  // larger requests go to malloc
constexpr std::uint64_t kMaxSizeClasses = 64;
constexpr std::uint64_t kMaxPools = 1U << 28;

std::uint64_t round_up(std::uint64_t value, std::uint64_t unit) {
  return (value + unit - 1) / unit * unit;
}

bool is_writable(const MemoryMap& map, RemoteAddr start, std::uint64_t size) {
  for (RemoteAddr at = start; at < start + size;) {
    const Mapping* mapping = find_mapping(map, at);
    if (mapping == nullptr || !mapping->writable) return false;
    at = mapping->end;
  }
  return size != 0;
}

struct PoolHeader {
  std::uint64_t used, free_block, arena, size_class, next_offset, max_next_offset;
};

PoolHeader header_of(const Layout& layout, std::span<const std::byte> bytes) {
  const auto get = [&](Field field) {
    const Slot slot = layout.slots[static_cast<std::size_t>(field)];
    return load(bytes, slot.offset, slot.width).value_or(0);
  };
  return {get(Field::kPoolRefCount),  get(Field::kPoolFreeBlock),  get(Field::kPoolArenaIndex),
          get(Field::kPoolSizeIndex), get(Field::kPoolNextOffset), get(Field::kPoolMaxNextOffset)};
}

// The bytes of a block, when this is the header of a pool in use; 0 else. Size class, offsets and
// the list of free blocks must agree with each other.
std::uint64_t block_bytes_of(const PoolHeader& pool, RemoteAddr at, std::uint64_t pool_bytes,
                             std::uint64_t header_bytes) {
  if (pool.used == 0 || pool.size_class >= kMaxSizeClasses || pool.max_next_offset >= pool_bytes) {
    return 0;
  }
  const std::uint64_t size = pool_bytes - pool.max_next_offset;
  const std::uint64_t step = size / (pool.size_class + 1);
  if (size > kMaxBlockBytes || size % (pool.size_class + 1) != 0) return 0;
  if (step != 8 && step != 16) return 0;  // the alignment of this build
  if (pool.used > (pool_bytes - header_bytes) / size) return 0;
  if (pool.next_offset < header_bytes || pool.next_offset > pool_bytes + size) return 0;
  if ((pool.next_offset - header_bytes) % size != 0) return 0;
  if (pool.free_block != 0) {
    const std::uint64_t inside = pool.free_block - at.value;
    if (inside < header_bytes || inside >= pool_bytes) return 0;
    if ((inside - header_bytes) % size != 0) return 0;
  }
  return size;
}

ArenaTable arena_table(const HeapInput& input, HeapBytes& bytes, RemoteAddr interpreter) {
  const Layout& layout = input.interpreter.layout();
  const Anchors& anchors = input.interpreter.anchors();
  if (layout.strategies.obmalloc == ObmallocPlace::kStatics) {
    if (!anchors.arenas || !anchors.max_arenas) return {};
    return {bytes.pointer(anchors.arenas), bytes.load(anchors.max_arenas, 4)};
  }
  RemoteAddr state = interpreter + layout.offset(Field::kInterpreterObmalloc);
  if (layout.strategies.obmalloc == ObmallocPlace::kPointer) state = bytes.pointer(state);
  if (!is_plausible(state)) return {};
  return {bytes.pointer(state + layout.offset(Field::kObmallocArenas)),
          bytes.load(state + layout.offset(Field::kObmallocMaxArenas), 4)};
}

}  // namespace

PoolMap PoolMap::read(const HeapInput& input, HeapBytes& bytes) {
  PoolMap map;
  const Layout& layout = input.interpreter.layout();
  map.pool_bytes_ = layout.strategies.pool_bytes;
  map.arena_bytes_ = layout.strategies.arena_bytes;
  map.header_bytes_ = layout.size(Struct::kPool);
  const auto interpreters = list_interpreters(input.memory, layout, input.interpreter.anchors());
  std::unordered_set<RemoteAddr> seen;  // interpreters may share one array
  bool found = false;
  if (interpreters) {
    for (const InterpreterRef& interpreter : *interpreters) {
      const ArenaTable table = arena_table(input, bytes, interpreter.address);
      if (!is_plausible(table.first) || !seen.insert(table.first).second) continue;
      found = map.add_arenas(input, bytes, table.first, table.count) || found;
    }
  }
  if (!found) {
    map.scan(input, bytes);
    map.use_lost_table(input, bytes);
  }
  map.finish();
  return map;
}

// False: this is no array of arenas.
bool PoolMap::add_arenas(const HeapInput& input, HeapBytes& bytes, RemoteAddr table,
                         std::uint64_t count) {
  const Layout& layout = input.interpreter.layout();
  if (count == 0 || count > kMaxArenas) return false;
  bool any = false;
  for (std::uint64_t i = 0; i < count; ++i) {
    const RemoteAddr entry = table + i * layout.size(Struct::kArena);
    const RemoteAddr start = bytes.pointer(entry + layout.offset(Field::kArenaAddress));
    if (!start) continue;
    const std::uint64_t pools =
        std::min<std::uint64_t>(bytes.load(entry + layout.offset(Field::kArenaTotalPools), 4),
                                kMaxArenaBytes / pool_bytes_);
    // A build with huge pages has 2 MiB instead of the usual size, which shows in the pools.
    const std::uint64_t size = std::max(arena_bytes_, std::bit_ceil(pools * pool_bytes_));
    // One that is being unmapped right now stays in the array for a moment.
    if (!is_writable(input.map, start, size)) continue;
    any = true;
    ++arenas_;
    arenas_total_ += size;
    arena_ranges_.push_back({start, size});
    for (std::uint64_t pool = round_up(start.value, pool_bytes_);
         pool + pool_bytes_ <= start.value + size; pool += pool_bytes_) {
      add_pool(bytes, layout, {pool});
    }
  }
  return any;
}

void PoolMap::scan(const HeapInput& input, HeapBytes& bytes) {
  by_scan_ = true;
  const Layout& layout = input.interpreter.layout();
  // Adjacent mappings differ where a part was advised or protected: an arena may span them.
  RemoteAddr end;
  for (const Mapping& mapping : input.map) {
    const bool candidate = mapping.anonymous() && mapping.path.empty() && mapping.readable &&
                           mapping.writable && !mapping.shared && !mapping.executable;
    if (!candidate || (mapping.size() < arena_bytes_ && mapping.start != end)) continue;
    end = mapping.end;
    for (std::uint64_t pool = round_up(mapping.start.value, pool_bytes_);
         pool + pool_bytes_ <= mapping.end.value; pool += pool_bytes_) {
      add_pool(bytes, layout, {pool});
    }
  }
  // Pools name their arena by number; numbers are unique only within one interpreter.
  std::map<std::uint32_t, std::vector<std::uint64_t>> by_arena;
  for (const Pool& pool : pools_) by_arena[pool.arena].push_back(pool.address.value);
  for (auto& [arena, addresses] : by_arena) {
    std::uint64_t first = 0;
    for (const std::uint64_t address : addresses) {
      if (first == 0 || address - first >= arena_bytes_) {
        first = address;
        ++arenas_;
        arena_ranges_.push_back({{first}, 0});
      }
      // From the first pool in use to the last: where the arena begins is not known.
      arena_ranges_.back().size = address + pool_bytes_ - first;
    }
  }
  arenas_total_ = arenas_ * arena_bytes_;
}

// What was scanned is read again by way of the array, which also says where arenas begin.
void PoolMap::use_lost_table(const HeapInput& input, HeapBytes& bytes) {
  if (input.interpreter.layout().strategies.obmalloc != ObmallocPlace::kStatics) return;
  const auto table = find_arena_table(input, bytes, pools_);
  if (!table) return;
  PoolMap through_table;
  through_table.pool_bytes_ = pool_bytes_;
  through_table.arena_bytes_ = arena_bytes_;
  through_table.header_bytes_ = header_bytes_;
  if (through_table.add_arenas(input, bytes, table->first, table->count)) {
    *this = std::move(through_table);
  }
}

void PoolMap::add_pool(HeapBytes& bytes, const Layout& layout, RemoteAddr address) {
  if (pools_.size() >= kMaxPools) return;
  const auto head = bytes.bytes(address, header_bytes_);
  if (head.size() < header_bytes_) return;
  const PoolHeader header = header_of(layout, head);
  const std::uint64_t size = block_bytes_of(header, address, pool_bytes_, header_bytes_);
  if (size == 0) return;
  Pool pool;
  pool.address = address;
  pool.block_bytes = static_cast<std::uint32_t>(size);
  pool.blocks = static_cast<std::uint32_t>((pool_bytes_ - header_bytes_) / size);
  pool.arena = static_cast<std::uint32_t>(header.arena);
  pool.first_state = states_.size();
  const auto reached = static_cast<std::uint32_t>(
      std::min<std::uint64_t>((header.next_offset - header_bytes_) / size, pool.blocks));
  states_.resize(states_.size() + pool.blocks, static_cast<std::uint8_t>(BlockState::kFree));
  std::fill_n(states_.begin() + static_cast<std::ptrdiff_t>(pool.first_state), reached,
              static_cast<std::uint8_t>(BlockState::kUsed));
  RemoteAddr at{header.free_block};
  for (std::uint32_t steps = 0; at; ++steps) {
    const std::uint32_t block = block_of(pool, at);
    if (steps > pool.blocks || block >= pool.blocks || block_start(pool, block) != at ||
        state(pool, block) == BlockState::kFree) {
      ++rejected_;
      break;
    }
    set_state(pool, block, BlockState::kFree);
    at = bytes.pointer(at);
  }
  pools_.push_back(pool);
}

void PoolMap::finish() {
  std::sort(arena_ranges_.begin(), arena_ranges_.end(),
            [](const AddressRange& a, const AddressRange& b) { return a.start < b.start; });
  std::sort(pools_.begin(), pools_.end(),
            [](const Pool& a, const Pool& b) { return a.address < b.address; });
  table_.assign(std::bit_ceil(std::max<std::size_t>(16, pools_.size() * 2)), 0);
  for (std::size_t i = 0; i < pools_.size(); ++i) {
    std::size_t at = static_cast<std::size_t>(
        pools_[i].address.value / pool_bytes_ * 0x9e3779b97f4a7c15ULL >> 24);
    while (table_[at & (table_.size() - 1)] != 0) ++at;
    table_[at & (table_.size() - 1)] = static_cast<std::uint32_t>(i + 1);
  }
}

const Pool* PoolMap::find(RemoteAddr address) const {
  const std::uint64_t start = address.value & ~(pool_bytes_ - 1);
  std::size_t at = static_cast<std::size_t>(start / pool_bytes_ * 0x9e3779b97f4a7c15ULL >> 24);
  for (;; ++at) {
    const std::uint32_t entry = table_[at & (table_.size() - 1)];
    if (entry == 0) return nullptr;
    if (pools_[entry - 1].address.value == start) return &pools_[entry - 1];
  }
}

std::uint32_t PoolMap::block_of(const Pool& pool, RemoteAddr address) const {
  const std::uint64_t inside = address.value - pool.address.value;
  if (inside < header_bytes_) return pool.blocks;
  const std::uint64_t block = (inside - header_bytes_) / pool.block_bytes;
  return static_cast<std::uint32_t>(std::min<std::uint64_t>(block, pool.blocks));
}

PymallocBytes PoolMap::account() const {
  PymallocBytes sum;
  sum.arenas = arenas_total_;
  sum.pools = pools_.size();
  for (const Pool& pool : pools_) {
    std::uint64_t by_state[4] = {};
    for (std::uint32_t i = 0; i < pool.blocks; ++i) ++by_state[states_[pool.first_state + i]];
    const std::uint64_t size = pool.block_bytes;
    sum.free_blocks += by_state[0] * size;
    sum.other_blocks += by_state[1] * size;
    sum.live_objects += by_state[2] * size;
    sum.owned_blocks += by_state[3] * size;
    sum.used_blocks += by_state[1] + by_state[2] + by_state[3];
    sum.headers += pool_bytes_ - pool.blocks * size;
  }
  const std::uint64_t in_use = pools_.size() * pool_bytes_;
  sum.arenas = std::max(sum.arenas, in_use);
  sum.free_pools = sum.arenas - in_use;
  return sum;
}

}  // namespace memspy::cpython
